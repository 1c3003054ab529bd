FROM slimbake-bare/python:3.11-arm64
RUN ["python3", "-c", "import os; print(os.uname())"]
