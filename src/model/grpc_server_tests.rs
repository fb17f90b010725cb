//! Tests of the gRPC client against another implementation's server, with the services of the three protocols.

use std::sync::{Arc, Mutex};

use millrace_proto::inference::grpc_inference_service_server::{GrpcInferenceService, GrpcInferenceServiceServer};
use millrace_proto::seldon::{self, combiner_server, model_server, output_transformer_server, router_server};
use millrace_proto::tensorflow_serving::model_service_server::{ModelService, ModelServiceServer};
use millrace_proto::tensorflow_serving::prediction_service_server::{PredictionService, PredictionServiceServer};
use millrace_proto::{ProtoName, inference, seldon::transformer_server, tensorflow_serving as serving};
use prost::Message as _;
use tokio::net::TcpListener;
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Response, Status, async_trait};

use super::tests::{INFER, MIB, client, request, run};
use super::*;
use crate::record::CallKind;

/// Answers with what it is asked, and says by which method.
#[derive(Clone, Default)]
struct Double {
    /// What readiness questions are answered with; without one they are not known.
    ready: Option<bool>,
    metadata: Arc<Mutex<MetadataMap>>,
}

type Answer<T> = Result<Response<T>, Status>;

impl Double {
    fn ready(&self) -> Result<bool, Status> {
        self.ready.ok_or_else(|| Status::unimplemented("no such question"))
    }
}

fn seldon(method: &str) -> Response<seldon::SeldonMessage> {
    let data_oneof = Some(seldon::seldon_message::DataOneof::StrData(method.to_owned()));
    Response::new(seldon::SeldonMessage { data_oneof, ..Default::default() })
}

#[async_trait]
impl PredictionService for Double {
    async fn predict(&self, request: tonic::Request<serving::PredictRequest>) -> Answer<serving::PredictResponse> {
        let request = request.into_inner();
        Ok(Response::new(serving::PredictResponse { outputs: request.inputs, model_spec: request.model_spec }))
    }

    async fn classify(
        &self,
        request: tonic::Request<serving::ClassificationRequest>,
    ) -> Answer<serving::ClassificationResponse> {
        let model_spec = request.into_inner().model_spec;
        Ok(Response::new(serving::ClassificationResponse { model_spec, ..Default::default() }))
    }
}

#[async_trait]
impl ModelService for Double {
    async fn get_model_status(
        &self,
        request: tonic::Request<serving::GetModelStatusRequest>,
    ) -> Answer<serving::GetModelStatusResponse> {
        let name = request.into_inner().model_spec.unwrap_or_default().name;
        if name != "m" {
            return Err(Status::not_found(name));
        }
        // An old version ends while a new one comes, or is there.
        let states = [50, if self.ready()? { 30 } else { 20 }];
        let version = |state| serving::ModelVersionStatus { state, ..Default::default() };
        Ok(Response::new(serving::GetModelStatusResponse {
            model_version_status: states.into_iter().map(version).collect(),
        }))
    }
}

#[async_trait]
impl GrpcInferenceService for Double {
    async fn model_infer(
        &self,
        request: tonic::Request<inference::ModelInferRequest>,
    ) -> Answer<inference::ModelInferResponse> {
        *self.metadata.lock().unwrap() = request.metadata().clone();
        let request = request.into_inner();
        if request.model_name != "m" {
            let mut refusal = Status::new(Code::NotFound, format!("model '{}' ist für uns ø", request.model_name));
            refusal.metadata_mut().insert("grpc-retry-pushback-ms", "30".parse().unwrap());
            return Err(refusal);
        }
        let raw_output_contents = request.raw_input_contents;
        Ok(Response::new(inference::ModelInferResponse { raw_output_contents, ..Default::default() }))
    }

    async fn model_ready(
        &self,
        _: tonic::Request<inference::ModelReadyRequest>,
    ) -> Answer<inference::ModelReadyResponse> {
        Ok(Response::new(inference::ModelReadyResponse { ready: self.ready()? }))
    }

    async fn server_ready(
        &self,
        _: tonic::Request<inference::ServerReadyRequest>,
    ) -> Answer<inference::ServerReadyResponse> {
        // Of a server that knows no model: it stands for what the metadata of the last call said.
        let ready = self.metadata.lock().unwrap().is_empty();
        Ok(Response::new(inference::ServerReadyResponse { ready }))
    }
}

#[async_trait]
impl model_server::Model for Double {
    async fn predict(&self, _: tonic::Request<seldon::SeldonMessage>) -> Answer<seldon::SeldonMessage> {
        Ok(seldon("predict"))
    }

    async fn send_feedback(&self, _: tonic::Request<seldon::Feedback>) -> Answer<seldon::SeldonMessage> {
        Ok(seldon("feedback"))
    }
}

#[async_trait]
impl transformer_server::Transformer for Double {
    async fn transform_input(&self, _: tonic::Request<seldon::SeldonMessage>) -> Answer<seldon::SeldonMessage> {
        Ok(seldon("input"))
    }
}

#[async_trait]
impl output_transformer_server::OutputTransformer for Double {
    async fn transform_output(&self, _: tonic::Request<seldon::SeldonMessage>) -> Answer<seldon::SeldonMessage> {
        Ok(seldon("output"))
    }
}

#[async_trait]
impl router_server::Router for Double {
    async fn route(&self, _: tonic::Request<seldon::SeldonMessage>) -> Answer<seldon::SeldonMessage> {
        Ok(seldon("route"))
    }
}

#[async_trait]
impl combiner_server::Combiner for Double {
    async fn aggregate(&self, request: tonic::Request<seldon::SeldonMessageList>) -> Answer<seldon::SeldonMessage> {
        Ok(seldon(&format!("aggregate {}", request.into_inner().seldon_messages.len())))
    }
}

/// The port of a server of all services.
async fn serve(double: Double) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let infer = GrpcInferenceServiceServer::new(double.clone())
        .max_decoding_message_size(64 * MIB)
        .send_compressed(CompressionEncoding::Gzip);
    let server = Server::builder()
        .add_service(infer)
        .add_service(PredictionServiceServer::new(double.clone()))
        .add_service(ModelServiceServer::new(double.clone()))
        .add_service(model_server::ModelServer::new(double.clone()))
        .add_service(transformer_server::TransformerServer::new(double.clone()))
        .add_service(output_transformer_server::OutputTransformerServer::new(double.clone()))
        .add_service(router_server::RouterServer::new(double.clone()))
        .add_service(combiner_server::CombinerServer::new(double))
        .serve_with_incoming(TcpIncoming::from(listener));
    actix_rt::spawn(async move { server.await.unwrap() });
    port
}

fn infer(model: &str, tensor: Vec<u8>) -> CallRequest {
    let raw_input_contents = vec![tensor.into()];
    let message = inference::ModelInferRequest { model_name: model.into(), raw_input_contents, ..Default::default() };
    request(INFER, message.encode_to_vec())
}

#[test]
fn every_method_of_seldons_protocol_answers() {
    run(async {
        let client = client(Protocol::Seldon, serve(Double::default()).await);
        let list = seldon::SeldonMessageList { seldon_messages: vec![seldon::SeldonMessage::default(); 3] };
        for (kind, name, body, expected) in [
            (CallKind::Predict, seldon::SeldonMessage::PROTO_NAME, Vec::new(), "predict"),
            (CallKind::TransformInput, seldon::SeldonMessage::PROTO_NAME, Vec::new(), "input"),
            (CallKind::TransformOutput, seldon::SeldonMessage::PROTO_NAME, Vec::new(), "output"),
            (CallKind::Route, seldon::SeldonMessage::PROTO_NAME, Vec::new(), "route"),
            (CallKind::Aggregate, seldon::SeldonMessageList::PROTO_NAME, list.encode_to_vec(), "aggregate 3"),
            (CallKind::SendFeedback, seldon::Feedback::PROTO_NAME, Vec::new(), "feedback"),
        ] {
            let reply = client.call(CallRequest { kind, ..request(name, body) }).await.unwrap().message;
            assert_eq!(reply.form, Form::Proto("seldon.protos.SeldonMessage"));
            let message = seldon::SeldonMessage::decode(reply.body).unwrap();
            assert_eq!(message.data_oneof, Some(seldon::seldon_message::DataOneof::StrData(expected.to_owned())));
        }
    });
}

#[test]
fn a_tensorflow_request_goes_to_the_method_of_its_type() {
    run(async {
        let client = client(Protocol::Tensorflow, serve(Double::default()).await);
        let model_spec = Some(serving::ModelSpec { name: "m".into(), ..Default::default() });
        let body = serving::PredictRequest { model_spec: model_spec.clone(), ..Default::default() }.encode_to_vec();
        let reply = client.call(request(serving::PredictRequest::PROTO_NAME, body)).await.unwrap().message;
        assert_eq!(reply.form, Form::Proto("tensorflow.serving.PredictResponse"));
        assert_eq!(serving::PredictResponse::decode(reply.body).unwrap().model_spec, model_spec);
        let reply = client.call(request(serving::ClassificationRequest::PROTO_NAME, "")).await.unwrap().message;
        assert_eq!(reply.form, Form::Proto("tensorflow.serving.ClassificationResponse"));
        let error = client.call(request(serving::RegressionRequest::PROTO_NAME, "")).await.unwrap_err();
        assert_eq!(error.status(), Some("UNIMPLEMENTED".into()));
    });
}

#[test]
fn large_tensors_go_both_ways_packed_back_and_the_server_sees_headers_and_deadline() {
    run(async {
        let double = Double::default();
        let client = client(Protocol::V2, serve(double.clone()).await);
        // Random bytes do not pack: what travels is larger than what libraries take by default.
        let tensor: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(5 * MIB).collect();
        let reply = client.call(infer("m", tensor.clone())).await.unwrap().message;
        let reply = inference::ModelInferResponse::decode(reply.body).unwrap();
        assert!(reply.raw_output_contents == [tensor]);
        let error = client.call(infer("m", vec![0; 8 * MIB - 16])).await.map(|reply| reply.message.body.len());
        assert!(error.is_ok(), "{error:?}");
        let metadata = double.metadata.lock().unwrap().clone();
        assert_eq!(metadata.get("seldon-puid").unwrap(), "id-1");
        assert_eq!(metadata.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(metadata.get_bin("blob-bin").unwrap().to_bytes().unwrap(), vec![0, 255]);
        assert_eq!(metadata.get("grpc-timeout").unwrap(), "10000000u");
    });
}

#[test]
fn an_error_of_the_server_comes_as_it_said_it() {
    run(async {
        let client = client(Protocol::V2, serve(Double::default()).await);
        let error = client.call(infer("n", Vec::new())).await.unwrap_err();
        let message = "model 'n' ist für uns ø".to_owned();
        let retry_after = Some(Duration::from_millis(30));
        assert_eq!(error, CallError::Grpc { code: Code::NotFound, message, retry_after });
        let error = client.call(request(INFER, "no message")).await.unwrap_err();
        assert_eq!(error.status(), Some("INTERNAL".into()), "{error}");
    });
}

#[test]
fn readiness_is_asked_as_each_protocol_has_it() {
    run(async {
        for (ready, expected) in [(Some(true), None), (Some(false), Some("UNAVAILABLE".into())), (None, None)] {
            let double = Double { ready, ..Double::default() };
            let port = serve(double.clone()).await;
            for protocol in [Protocol::Tensorflow, Protocol::V2] {
                let status = client(protocol, port).probe().await.err().and_then(|error| error.status());
                assert_eq!(status, expected, "{protocol:?}: {ready:?}");
            }
            assert_eq!(client(Protocol::Seldon, port).probe().await, Ok(()));
            double.metadata.lock().unwrap().insert("not", "ready".parse().unwrap());
            let status = client(Protocol::V2, port).probe().await.err().and_then(|error| error.status());
            let whole = if ready == Some(true) { None } else { Some("UNAVAILABLE".into()) };
            assert_eq!(status, whole, "a server that knows no models speaks for all of it");
        }
        let mut other = client(Protocol::Tensorflow, serve(Double { ready: Some(true), ..Double::default() }).await);
        other.model = "n".into();
        assert_eq!(other.probe().await.unwrap_err().status(), Some("NOT_FOUND".into()));
    });
}
