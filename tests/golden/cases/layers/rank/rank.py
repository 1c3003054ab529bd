NAME = "rank"
