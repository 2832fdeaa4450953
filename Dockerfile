FROM python:3.12-slim
WORKDIR /srv
COPY requirements.txt ./
RUN pip install --no-cache-dir --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE alembic.ini ./
COPY alembic alembic
COPY app app
COPY migrations_data migrations_data
# Where attachments are, unless CHAT_FILES_URL says otherwise: mount a volume there, or name an S3 bucket.
RUN useradd --system --no-create-home chatkit && install -d -m 700 -o chatkit .data .data/files
USER chatkit
ENV PYTHONPATH=/srv PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz')"]
CMD ["python", "-m", "app.cli", "serve", "--host", "0.0.0.0"]
