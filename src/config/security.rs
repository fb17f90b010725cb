//! Security of the connections to the brokers, as librdkafka properties that hold for every client.

use std::path::Path;

use super::fault::Rank;
use super::layers::Leaf;
use super::properties;
use super::reader::Reader;
use super::settings::Secret;

const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// Reads `kafka.security`.
pub(super) fn read(reader: &mut Reader<'_>, notices: &mut Vec<String>) -> Vec<(String, Secret)> {
    let protocols = [
        ("plaintext", (false, false)),
        ("ssl", (true, false)),
        ("sasl_plaintext", (false, true)),
        ("sasl_ssl", (true, true)),
    ];
    let (tls, sasl) = reader.choice("kafka.security.protocol", &protocols);
    let name = match (tls, sasl) {
        (false, false) => "plaintext",
        (true, false) => "ssl",
        (false, true) => "sasl_plaintext",
        (true, true) => "sasl_ssl",
    };
    let mut security = vec![("security.protocol".to_owned(), Secret::new(name))];
    encryption(reader, tls, &mut security);
    authentication(reader, sasl, &mut security);
    if sasl && !tls && security.iter().any(|(key, value)| key == "sasl.mechanism" && value.expose() == "PLAIN") {
        let origin = reader.origin("kafka.security.protocol");
        notices.push(format!(
            "{origin}: the password of SASL PLAIN goes over the network unencrypted; sasl_ssl encrypts it"
        ));
    }
    properties::connection(reader, &mut security);
    security
}

fn encryption(reader: &mut Reader<'_>, tls: bool, security: &mut Vec<(String, Secret)>) {
    let ca = material(reader, "ca", "ssl.ca");
    let certificate = material(reader, "certificate", "ssl.certificate");
    let key = material(reader, "key", "ssl.key");
    let password = reader.text("kafka.security.key_password");
    for (given, name) in [(ca.is_some(), "ca"), (certificate.is_some(), "certificate"), (key.is_some(), "key")] {
        if given && !tls {
            reader.fault(
                effective(reader, name),
                "is given, but connections are not encrypted",
                "set kafka.security.protocol (KAFKA_SECURITY_PROTOCOL) to ssl or sasl_ssl",
            );
        }
    }
    if certificate.is_some() != key.is_some() {
        let (one, other) = if key.is_some() { ("key", "certificate") } else { ("certificate", "key") };
        let remedy = format!("give kafka.security.{other} or kafka.security.{other}_file too, or neither");
        reader.fault(effective(reader, one), format!("is given without a {other}"), remedy);
    }
    security.extend([ca, certificate, key].into_iter().flatten());
    if let Some(password) = password.filter(|_| tls) {
        security.push(("ssl.key.password".into(), Secret::new(password)));
    }
}

/// Which of the two keys of some material is in effect: text or file.
fn effective(reader: &Reader<'_>, name: &str) -> &'static str {
    let (text, file) = match name {
        "ca" => ("kafka.security.ca", "kafka.security.ca_file"),
        "certificate" => ("kafka.security.certificate", "kafka.security.certificate_file"),
        _ => ("kafka.security.key", "kafka.security.key_file"),
    };
    let rank = |key: &str| reader.leaf(key).map(|leaf| leaf.origin.rank);
    if rank(file) > rank(text) { file } else { text }
}

/// PEM text or a file of it; of the two, the one from the stronger source.
fn material(reader: &mut Reader<'_>, name: &str, property: &str) -> Option<(String, Secret)> {
    let (text_key, file_key) = (format!("kafka.security.{name}"), format!("kafka.security.{name}_file"));
    let rank = |leaf: Option<&Leaf>| leaf.map(|leaf| leaf.origin.rank);
    let (text_rank, file_rank) = (rank(reader.leaf(&text_key)), rank(reader.leaf(&file_key)));
    if text_rank.is_some() && text_rank == file_rank {
        let other = reader.origin(&file_key);
        reader.fault(&text_key, format!("is given as text and as a file ({other})"), "give one of them");
    }
    if file_rank > text_rank {
        let file = reader.text(&file_key)?;
        if let Err(error) = readable(Path::new(&file)) {
            reader.fault(&file_key, format!("{file}: {error}"), "give a file that this process can read");
        }
        return Some((format!("{property}.location"), Secret::new(file)));
    }
    let text = normalised(&reader.text(&text_key)?);
    if !text.contains("-----BEGIN ") {
        let remedy = format!("give the text itself, with its line -----BEGIN …-----, or the file's name as {file_key}");
        reader.fault(&text_key, "is no PEM text", remedy);
    }
    Some((format!("{property}.pem"), Secret::new(text)))
}

fn readable(file: &Path) -> std::io::Result<()> {
    if file.is_dir() {
        return Err(std::io::Error::other("is a directory"));
    }
    std::fs::File::open(file).map(drop)
}

/// PEM from an environment variable often has its line breaks as `\n`.
fn normalised(text: &str) -> String {
    if text.trim_end().contains('\n') { text.to_owned() } else { text.replace("\\n", "\n") }
}

fn authentication(reader: &mut Reader<'_>, sasl: bool, security: &mut Vec<(String, Secret)>) {
    const KEYS: [&str; 3] =
        ["kafka.security.sasl.mechanism", "kafka.security.sasl.username", "kafka.security.sasl.password"];
    let given = KEYS.map(|key| reader.text(key));
    if !sasl {
        let named = KEYS.into_iter().zip(&given).find(|(key, value)| {
            value.is_some() && reader.leaf(key).is_some_and(|leaf| leaf.origin.rank > Rank::Default)
        });
        if let Some((key, _)) = named {
            reader.fault(
                key,
                "is given, but connections do not authenticate with SASL",
                "set kafka.security.protocol (KAFKA_SECURITY_PROTOCOL) to sasl_ssl, or to sasl_plaintext",
            );
        }
        return;
    }
    let [mechanism, username, password] = given;
    let mechanism = mechanism.map(|text| text.to_ascii_uppercase());
    match &mechanism {
        Some(text) if !MECHANISMS.contains(&text.as_str()) => {
            reader.fault(KEYS[0], format!("{text:?} is not supported"), format!("one of: {}", MECHANISMS.join(", ")));
        }
        None => reader.fault(KEYS[0], "is not set, and SASL needs it", format!("one of: {}", MECHANISMS.join(", "))),
        _ => {}
    }
    for (key, value) in KEYS.into_iter().skip(1).zip([&username, &password]) {
        if value.is_none() {
            reader.fault(key, "is not set, and SASL needs it", format!("give it with {}", super::names::ways(key)));
        }
    }
    let properties = ["sasl.mechanism", "sasl.username", "sasl.password"];
    for (property, value) in properties.into_iter().zip([mechanism, username, password]) {
        security.extend(value.map(|value| (property.to_owned(), Secret::new(value))));
    }
}

#[cfg(test)]
mod tests;
