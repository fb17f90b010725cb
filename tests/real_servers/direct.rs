//! Calls made past the service, node by node: what its answers are held against.

use std::sync::LazyLock;

use millrace_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use millrace_proto::inference::{ModelInferRequest, ModelInferResponse};
use millrace_proto::seldon::combiner_client::CombinerClient;
use millrace_proto::seldon::model_client::ModelClient;
use millrace_proto::seldon::router_client::RouterClient;
use millrace_proto::seldon::transformer_client::TransformerClient;
use millrace_proto::seldon::{SeldonMessage, SeldonMessageList};
use tokio::runtime::Runtime;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::support::http_client::{self, Answer, Raw};
use crate::support::real_servers::Server;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).thread_name("direct").enable_all().build().expect("a runtime")
});

/// What a server answers to JSON.
#[track_caller]
pub(crate) fn post(server: &Server, path: &str, body: &str) -> Answer {
    http_client::post(server.rest_port(), path, body).unwrap_or_else(|e| panic!("{}{path}: {e}", server.name()))
}

/// The body of an answer that has to be good.
#[track_caller]
pub(crate) fn must_post(server: &Server, path: &str, body: &str) -> String {
    let answer = post(server, path, body);
    assert_eq!(answer.status, 200, "{}{path} to {body}: {}", server.name(), answer.body);
    answer.body
}

/// What a server answers to bytes with headers.
#[track_caller]
pub(crate) fn post_bytes(server: &Server, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Raw {
    let answer = http_client::exchange(server.rest_port(), "POST", path, headers, body);
    answer.unwrap_or_else(|e| panic!("{}{path}: {e}", server.name()))
}

fn channel(server: &Server) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.grpc())).expect("an address");
    // A connection lives on the runtime where it is made.
    let _entered = RUNTIME.enter();
    endpoint.connect_lazy()
}

/// V2's `ModelInfer`.
pub(crate) fn infer(server: &Server, request: ModelInferRequest) -> Result<ModelInferResponse, Status> {
    let mut client = GrpcInferenceServiceClient::new(channel(server));
    RUNTIME.block_on(client.model_infer(request)).map(tonic::Response::into_inner)
}

/// Seldon's `TransformInput`.
pub(crate) fn transform(server: &Server, message: SeldonMessage) -> SeldonMessage {
    let mut client = TransformerClient::new(channel(server));
    RUNTIME.block_on(client.transform_input(message)).expect("the transformer answers").into_inner()
}

/// Seldon's `Route`.
pub(crate) fn route(server: &Server, message: SeldonMessage) -> SeldonMessage {
    let mut client = RouterClient::new(channel(server));
    RUNTIME.block_on(client.route(message)).expect("the router answers").into_inner()
}

/// Seldon's `Predict`.
pub(crate) fn predict(server: &Server, message: SeldonMessage) -> SeldonMessage {
    let mut client = ModelClient::new(channel(server));
    RUNTIME.block_on(client.predict(message)).expect("the model answers").into_inner()
}

/// Seldon's `Aggregate`.
pub(crate) fn aggregate(server: &Server, messages: Vec<SeldonMessage>) -> SeldonMessage {
    let mut client = CombinerClient::new(channel(server));
    let list = SeldonMessageList { seldon_messages: messages };
    RUNTIME.block_on(client.aggregate(list)).expect("the combiner answers").into_inner()
}
