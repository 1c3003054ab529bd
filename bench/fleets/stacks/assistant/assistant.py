"""Has a prompt and a client of a model's service."""

from http.server import HTTPServer, SimpleHTTPRequestHandler

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from openai import OpenAI

CLIENT = OpenAI(api_key="none", base_url="http://localhost:1")
PROMPT = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{question}")])
CHAIN = PROMPT | RunnableLambda(lambda prompt: prompt.to_string()) | StrOutputParser()

if __name__ == "__main__":
    assert "Why?" in CHAIN.invoke({"question": "Why?"})
    assert CLIENT.chat.completions
    HTTPServer(("", 8000), SimpleHTTPRequestHandler).serve_forever()
