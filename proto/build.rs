//! Makes Rust of the `.proto` files. protox parses them, so no `protoc` has to be installed.

use std::error::Error;
use std::path::Path;

const FILES: [&str; 4] = ["tensorflow.proto", "tensorflow_serving.proto", "seldon.proto", "inference.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new("protos");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", folder.display());
    let descriptors = protox::compile(FILES, [folder])?;
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        // Clients work on any channel; the transport is the business of whoever makes the channel.
        .build_transport(false)
        // A test double writes the methods it needs; the others answer "unimplemented".
        .generate_default_stubs(true)
        // Tensor data is a slice of the message it came in, not a copy.
        .bytes(".")
        // One message has one encoding, so that encodings can be compared.
        .btree_map(".")
        .compile_fds(descriptors)?;
    Ok(())
}
