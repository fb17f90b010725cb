"""Makes a model folder for MLServer and serves it: FOLDER HTTP_PORT GRPC_PORT METRICS_PORT."""

import json
import sys
from pathlib import Path

import joblib
from mlserver.cli import main

import iris

folder, http_port, grpc_port, metrics_port = Path(sys.argv[1]), *map(int, sys.argv[2:])
model = folder / "iris"
model.mkdir(parents=True, exist_ok=True)
joblib.dump(iris.fitted(), model / "model.joblib")

settings = {
    "debug": False,
    "host": "127.0.0.1",
    "http_port": http_port,
    "grpc_port": grpc_port,
    "metrics_port": metrics_port,
    "metrics_dir": str(folder / "metrics"),
    # One process, so that its end is the end of all.
    "parallel_workers": 0,
}
(folder / "settings.json").write_text(json.dumps(settings))
model_settings = {
    "name": "iris",
    "implementation": "mlserver_sklearn.SKLearnModel",
    "parameters": {"uri": "./model.joblib", "version": "v1"},
}
(model / "model-settings.json").write_text(json.dumps(model_settings))

sys.argv[1:] = ["start", str(folder)]
main()
