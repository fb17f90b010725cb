//! A client talks to a double of a server: the services have the names of the wire, and a double writes only what it needs.

use millrace_proto::inference::{grpc_inference_service_client, grpc_inference_service_server};
use millrace_proto::tensorflow_serving::{model_service_server, prediction_service_client, prediction_service_server};
use millrace_proto::{inference, seldon, tensorflow_serving as serving};
use tonic::{Code, Request, Response, Status, async_trait};

#[derive(Clone)]
struct Double;

#[async_trait]
impl prediction_service_server::PredictionService for Double {
    async fn predict(
        &self,
        request: Request<serving::PredictRequest>,
    ) -> Result<Response<serving::PredictResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(serving::PredictResponse { outputs: request.inputs, model_spec: request.model_spec }))
    }
}

#[async_trait]
impl grpc_inference_service_server::GrpcInferenceService for Double {
    async fn model_infer(
        &self,
        request: Request<inference::ModelInferRequest>,
    ) -> Result<Response<inference::ModelInferResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(inference::ModelInferResponse {
            model_name: request.model_name,
            raw_output_contents: request.raw_input_contents,
            ..Default::default()
        }))
    }
}

#[tokio::test]
async fn a_double_answers_what_it_implements() {
    let mut client = prediction_service_client::PredictionServiceClient::new(
        prediction_service_server::PredictionServiceServer::new(Double),
    );
    let spec = serving::ModelSpec { name: "m".to_owned(), ..Default::default() };
    let request = serving::PredictRequest { model_spec: Some(spec.clone()), ..Default::default() };
    let reply = client.predict(request).await.expect("the double predicts").into_inner();
    assert_eq!(reply.model_spec, Some(spec));

    let refusal = client.regress(serving::RegressionRequest::default()).await.expect_err("the double has no regress");
    assert_eq!(refusal.code(), Code::Unimplemented);
}

#[tokio::test]
async fn raw_tensors_go_there_and_back() {
    let mut client = grpc_inference_service_client::GrpcInferenceServiceClient::new(
        grpc_inference_service_server::GrpcInferenceServiceServer::new(Double),
    );
    let request = inference::ModelInferRequest {
        model_name: "m".to_owned(),
        raw_input_contents: vec![vec![1, 2, 3].into()],
        ..Default::default()
    };
    let reply = client.model_infer(request).await.expect("the double infers").into_inner();
    assert_eq!(reply.raw_output_contents, [vec![1, 2, 3]]);
}

#[test]
fn services_have_the_names_of_the_wire() {
    assert_eq!(prediction_service_server::SERVICE_NAME, "tensorflow.serving.PredictionService");
    assert_eq!(model_service_server::SERVICE_NAME, "tensorflow.serving.ModelService");
    assert_eq!(grpc_inference_service_server::SERVICE_NAME, "inference.GRPCInferenceService");
    assert_eq!(seldon::seldon_server::SERVICE_NAME, "seldon.protos.Seldon");
    assert_eq!(seldon::model_server::SERVICE_NAME, "seldon.protos.Model");
    assert_eq!(seldon::transformer_server::SERVICE_NAME, "seldon.protos.Transformer");
    assert_eq!(seldon::output_transformer_server::SERVICE_NAME, "seldon.protos.OutputTransformer");
    assert_eq!(seldon::router_server::SERVICE_NAME, "seldon.protos.Router");
    assert_eq!(seldon::combiner_server::SERVICE_NAME, "seldon.protos.Combiner");
    assert_eq!(seldon::generic_server::SERVICE_NAME, "seldon.protos.Generic");
}
