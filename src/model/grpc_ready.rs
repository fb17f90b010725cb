//! Asking a gRPC server whether it is ready, as each protocol has it.

use bytes::Bytes;
use millrace_proto::{inference, tensorflow_serving as serving};
use prost::Message;
use tokio::time::timeout;
use tonic::Code;
use tonic::metadata::MetadataMap;

use super::error::CallError;
use super::grpc::GrpcClient;
use crate::config::settings::Protocol;

/// `AVAILABLE`, of the states that TensorFlow Serving knows.
const AVAILABLE: i32 = serving::model_version_status::State::Available as i32;
/// Bytes of an answer about readiness.
const PROBE_REPLY: usize = 64 * 1024;

impl GrpcClient {
    /// Asks whether the endpoint is ready. A server that knows none of the protocol's questions is. Seldon's protocol has
    /// no question, so a server that takes connections is ready.
    pub async fn probe(&self) -> Result<(), CallError> {
        match self.protocol {
            Protocol::Seldon => {
                let limit = self.probe_timeout;
                timeout(limit, self.pool.reach()).await.map_err(|_| CallError::ConnectTimeout(limit))?
            }
            Protocol::Tensorflow => known(self.tensorflow().await).map(|_| ()),
            Protocol::V2 => match known(self.v2_model().await)? {
                Answer::Ready => Ok(()),
                Answer::Unknown => known(self.v2_server().await).map(|_| ()),
            },
        }
    }

    async fn tensorflow(&self) -> Result<(), CallError> {
        let model_spec = Some(serving::ModelSpec { name: self.model.clone(), ..Default::default() });
        let request = serving::GetModelStatusRequest { model_spec };
        let path = "/tensorflow.serving.ModelService/GetModelStatus";
        let reply: serving::GetModelStatusResponse = self.ask(path, &request).await?;
        // One version is enough; versions come and go.
        ready(reply.model_version_status.iter().any(|version| version.state == AVAILABLE))
    }

    async fn v2_model(&self) -> Result<(), CallError> {
        let request = inference::ModelReadyRequest { name: self.model.clone(), ..Default::default() };
        let reply: inference::ModelReadyResponse =
            self.ask("/inference.GRPCInferenceService/ModelReady", &request).await?;
        ready(reply.ready)
    }

    async fn v2_server(&self) -> Result<(), CallError> {
        let request = inference::ServerReadyRequest::default();
        let reply: inference::ServerReadyResponse =
            self.ask("/inference.GRPCInferenceService/ServerReady", &request).await?;
        ready(reply.ready)
    }

    async fn ask<Reply: Message + Default>(
        &self,
        path: &'static str,
        request: &impl Message,
    ) -> Result<Reply, CallError> {
        let request = Bytes::from(request.encode_to_vec());
        let reply = self.unary(path, &MetadataMap::new(), request, self.probe_timeout, PROBE_REPLY).await?;
        Reply::decode(reply).map_err(|error| CallError::BadReply(error.to_string()))
    }
}

enum Answer {
    Ready,
    Unknown,
}

fn known(result: Result<(), CallError>) -> Result<Answer, CallError> {
    match result {
        Ok(()) => Ok(Answer::Ready),
        Err(CallError::Grpc { code: Code::Unimplemented, .. }) => Ok(Answer::Unknown),
        Err(error) => Err(error),
    }
}

fn ready(ready: bool) -> Result<(), CallError> {
    let (code, message) = (Code::Unavailable, "it says that it is not ready".to_owned());
    if ready { Ok(()) } else { Err(CallError::Grpc { code, message, retry_after: None }) }
}
