FROM base
COPY . /app
