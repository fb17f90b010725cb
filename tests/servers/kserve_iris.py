"""Serves iris with KServe, by V1 and V2: --http_port PORT --grpc_port PORT, as every KServe server."""

import loopback

loopback.only()

# What the names above must come before.
from kserve import Model, ModelServer, model_server  # noqa: E402
from kserve.utils.utils import get_predict_input, get_predict_response  # noqa: E402

import iris  # noqa: E402


class Iris(Model):
    """One probability for each kind of flower, in a list named output-0 on V2."""

    def load(self):
        self.fitted = iris.fitted()
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None, response_headers=None):
        return get_predict_response(payload, self.fitted.predict_proba(get_predict_input(payload)), self.name)


class LocalServer(model_server.RESTServer):
    """Its loop may be one that binds without Python's sockets."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.config.host = loopback.LOCAL


model_server.RESTServer = LocalServer
model = Iris("iris")
model.load()
ModelServer(workers=1).start([model])
