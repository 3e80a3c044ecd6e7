"""Writes records with the writers that others use: CloudEvents' Kafka bindings around KServe's bodies, and
Confluent's JSON serializer with its frame before the value and in a header.

    python tests/interop/write_goldens.py > ingest/formats/src/mapped/tests/goldens.jsonl

One record a line: name, key, headers and value, bytes in Base64.
"""

import base64
import json
import sys

from cloudevents.http import CloudEvent
from cloudevents.kafka import to_binary, to_structured
from confluent_kafka.schema_registry import (
    SchemaRegistryClient,
    header_schema_id_serializer,
    prefix_schema_id_serializer,
)
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

BODIES = {
    "request": {"instances": [[6.8, 2.8], [6.0, 3.4]]},
    "response": {"predictions": [1, 2]},
    "request.v2": {
        "id": "i",
        "inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [6.8, 2.8, 6.0, 3.4]}],
    },
}
CAPTURE = {
    "id": "7f",
    "ts": "2026-01-02T03:04:05.678Z",
    "latency_us": 1234,
    "features": {"a": 0.1, "b": 12345.678901234567},
    "prediction": {"value": 2},
}
SCHEMA = json.dumps({"title": "capture", "type": "object", "properties": {"id": {"type": "string"}}})


def encoded(data):
    if isinstance(data, str):
        data = data.encode()
    return base64.b64encode(data).decode()


def emit(name, value, headers, key=None):
    pairs = [[header, encoded(content)] for header, content in headers]
    line = {"name": name, "key": key and encoded(key), "headers": pairs, "value": encoded(value)}
    sys.stdout.write(json.dumps(line) + "\n")


def cloud_events():
    for name, body in BODIES.items():
        attributes = {
            "id": "i",
            "type": "org.kubeflow.serving.inference." + name.split(".")[0],
            "source": "http://localhost:9081/",
            "time": "2026-01-02T03:04:05.678Z",
            "datacontenttype": "application/json",
            "inferenceservicename": "iris",
            "namespace": "default",
            "component": "predictor",
            "endpoint": "",
        }
        event = CloudEvent(attributes, body)
        binary = to_binary(event, data_marshaller=json.dumps)
        emit(f"kserve binary {name}", binary.value, binary.headers.items())
        structured = to_structured(event)
        emit(f"kserve structured {name}", structured.value, structured.headers.items())


def framed():
    for name, where in [("prefix", prefix_schema_id_serializer), ("header", header_schema_id_serializer)]:
        client = SchemaRegistryClient.new_client({"url": "mock://goldens"})
        conf = {"auto.register.schemas": True, "schema.id.serializer": where}
        serialize = JSONSerializer(SCHEMA, client, conf=conf)
        headers = []
        context = SerializationContext("captures", MessageField.VALUE, headers)
        value = serialize(CAPTURE, context)
        emit(f"json-schema {name}", value, context.headers or headers)


cloud_events()
framed()
