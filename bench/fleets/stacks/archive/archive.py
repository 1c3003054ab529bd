"""Keeps names of objects in a table, and has a client for where they are."""

from http.server import HTTPServer, SimpleHTTPRequestHandler

import boto3
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class Entry(Base):
    __tablename__ = "entries"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


if __name__ == "__main__":
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    for service in ("s3", "sqs", "dynamodb"):
        boto3.client(service, region_name="eu-central-1", **keys)
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Entry(name="first"))
        session.commit()
        assert session.scalars(select(Entry)).one().name == "first"
    HTTPServer(("", 8000), SimpleHTTPRequestHandler).serve_forever()
