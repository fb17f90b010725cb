//! Parameters of V2 that are about one request: requests with one of them go alone.

/// Triton's, for sequences, queues, and data in another place than the message.
const OF_ONE: [&str; 9] = [
    "sequence_id",
    "sequence_start",
    "sequence_end",
    "priority",
    "timeout",
    "binary_data_output",
    "shared_memory_region",
    "shared_memory_byte_size",
    "shared_memory_offset",
];

/// Whether a parameter of this name keeps a request from being merged.
pub(super) fn is_of_one(name: &[u8]) -> bool {
    OF_ONE.iter().any(|known| known.as_bytes() == name)
}
