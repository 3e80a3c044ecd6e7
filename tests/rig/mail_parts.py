"""Reads a mail with Python's own parser: {"mail"} in; subject, text, html, images, parts and defects out.

"images" are the parts that the HTML names by their Content-ID; "parts" how they lie in one another.
"""

import email
import email.policy
import json
import re
import struct
import sys
import zlib


def nested(part):
    """The type of a part, and in brackets those that it holds."""
    if not part.is_multipart():
        return part.get_content_type()
    return f"{part.get_content_type()}[{', '.join(map(nested, part.iter_parts()))}]"


def png_size(data):
    """Width and height of a PNG whose chunks and pixels are whole."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n", data[:8]
    at, pixels, size = 8, b"", None
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        (crc,) = struct.unpack(">I", data[at + 8 + length : at + 12 + length])
        assert crc == zlib.crc32(kind + body), kind
        if kind == b"IHDR":
            size = struct.unpack(">II", body[:8])
        if kind == b"IDAT":
            pixels += body
        at += 12 + length
    # One byte of filter, then four a pixel, for each line.
    assert len(zlib.decompress(pixels)) == size[1] * (1 + 4 * size[0]), size
    return size


if __name__ == "__main__":
    mail = email.message_from_string(json.load(sys.stdin)["mail"], policy=email.policy.default)
    bodies = {kind: mail.get_body((kind,)) for kind in ("plain", "html")}
    text, html = (body and body.get_content() for body in bodies.values())
    by_id = {part["Content-ID"]: part for part in mail.walk() if part["Content-ID"]}
    images = []
    for name in re.findall(r'<img src="cid:([^"]*)"', html or ""):
        part = by_id[f"<{name}>"]
        data = part.get_content()
        images.append({"id": name, "type": part.get_content_type(), "bytes": len(data), "size": png_size(data),
                       "disposition": part.get_content_disposition()})
    assert len(images) == len(by_id), (images, list(by_id))
    defects = [repr(defect) for part in mail.walk() for defect in part.defects]
    json.dump({"subject": mail["subject"], "text": text, "html": html, "images": images, "parts": nested(mail),
               "defects": defects}, sys.stdout)
