# Three images from one installation:  docker build --target app .   --target gpu   --target mlflow
# Python 3.11, since that is what the tests run on; the versions are those of constraints.txt.
FROM python:3.11.14-slim-bookworm AS app

# Numeric, so that an engine can see that it is not root.
RUN useradd --uid 10001 --create-home optselect \
    && install -d -o 10001 -g 10001 /home/optselect/data /mlartifacts

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
# The real folders: the links in optselect/ alone would point nowhere.
COPY optselect ./optselect
COPY search ./search
COPY trials ./trials
COPY storage ./storage
COPY examples ./examples
RUN pip install --no-cache-dir -c constraints.txt .

WORKDIR /home/optselect
USER 10001
ENV OPTSELECT_HOME=/home/optselect/data PYTHONUNBUFFERED=1
ENTRYPOINT ["python", "-P", "-m", "optselect"]
CMD ["--help"]

FROM app AS mlflow
COPY docker/mlflow-server /usr/local/bin/mlflow-server
EXPOSE 5000
ENTRYPOINT ["mlflow-server"]
CMD []

# CUDA comes with TensorFlow's own wheels, the driver from the host by NVIDIA's container toolkit.
FROM app AS gpu
USER 0
RUN pip install --no-cache-dir -c /src/constraints.txt 'tensorflow[and-cuda]'
USER 10001
