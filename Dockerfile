# One image for every part: the app, and the head and workers of its Ray cluster, so that their Ray and Python are the same.
FROM python:3.11-slim

RUN useradd --create-home --uid 1000 agentrooms && mkdir /data && chown agentrooms:agentrooms /data
WORKDIR /app

# Every package is checked against the hashes of the lock.
COPY requirements/main.lock requirements/main.lock
RUN python -m pip install --no-cache-dir --require-hashes --requirement requirements/main.lock

COPY pyproject.toml README.md LICENSE NOTICE ./
COPY agentrooms agentrooms
RUN python -m pip install --no-cache-dir --no-deps --no-build-isolation .

USER agentrooms
ENV AGENTROOMS_DATA=/data PYTHONUNBUFFERED=1 RAY_USAGE_STATS_ENABLED=0 OMP_NUM_THREADS=1
VOLUME /data

CMD ["agentrooms", "up", "--no-screen"]
