"""The hybrid service: lexical and dense search over storage, fused and reranked."""
