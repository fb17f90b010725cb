//! Replies that are a `SeldonMessage`: each request gets its rows and its own id.

use std::ops::{Range, RangeInclusive};

use bytes::BytesMut;

use super::Unsplit;
use super::proto::{copy, fields};
use super::rows::Rows;
use super::seldon_data::{DATA, Data};
use super::seldon_grpc::{META, Places, put_meta, read_meta};
use super::seldon_status::is_success_proto;
use crate::codec::wire::Wire;
use crate::record::Message;

const STATUS: u32 = 1;
/// Bytes, text, JSON and anything: what stands in the place of data.
const OTHERS: RangeInclusive<u32> = 4..=7;

pub(super) fn split(parts: &[(&[u8], &Places)], rows: &Rows, reply: &Message) -> Result<Vec<Message>, Unsplit> {
    let body = &reply.body[..];
    let broken = |what: &str| Unsplit::Unreadable(what.to_owned());
    let none = || rows.unsplit("no data with an ndarray or a tensor".to_owned());
    let (mut common, mut metas, mut data) = (Vec::new(), Vec::new(), None);
    for field in fields(body, &(0..body.len())).map_err(|error| Unsplit::Unreadable(error.to_string()))? {
        match (field.number, field.wire) {
            (STATUS, Wire::Bytes) if !is_success_proto(body, &field.value) => return Err(Unsplit::Failed),
            (META, Wire::Bytes) => metas.push(field.value),
            (DATA, Wire::Bytes) if data.is_none() => data = Some(field.value),
            (DATA, Wire::Bytes) => return Err(broken("it has data twice")),
            (META | DATA, _) => return Err(broken("its data or its metadata are no message")),
            (number, _) if OTHERS.contains(&number) => return Err(none()),
            _ => common.push(field.whole),
        }
    }
    let (meta, _) = read_meta(body, &metas).ok_or_else(|| broken("its metadata cannot be read"))?;
    let data = Data::read(body, &data.ok_or_else(none)?).ok_or_else(none)?;
    let lists = if data.ndarray.is_some() {
        let cut = data.list.cut(body, rows.each());
        cut.ok_or_else(|| rows.unsplit(format!("an ndarray of {} rows", data.list.len)))?
    } else {
        let cut = data.list.cut(body, rows.elements(&data.shape)?);
        cut.ok_or_else(|| broken("its tensor has other values than its shape says"))?
    };
    let about = body.len() / parts.len() + common.iter().map(Range::len).sum::<usize>();
    let mut replies = Vec::with_capacity(parts.len());
    for (((request, places), list), rows) in parts.iter().zip(&lists).zip(rows.each()) {
        let mut own = BytesMut::with_capacity(about);
        copy(body, &common, &mut own);
        let puid = places.puid.clone().and_then(|puid| request.get(puid));
        if puid.is_some() || !metas.is_empty() {
            put_meta(body, &meta, puid, &mut own);
        }
        data.put(body, rows, &[(body, list)], &mut own);
        replies.push(Message { body: own.freeze(), form: reply.form.clone() });
    }
    Ok(replies)
}
