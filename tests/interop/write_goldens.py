"""Writes records with the writers that others use: CloudEvents' Kafka bindings around KServe's bodies, KServe's own
requests in Protobuf, Triton's client, BentoML's monitor, Azure ML's collector, and Confluent's serializers of JSON,
Avro and Protobuf with their frame before the value and in a header.

    python tests/interop/write_goldens.py > ingest/formats/src/mapped/tests/goldens.jsonl

One record a line: name, key, headers and value, bytes in Base64, and the schema where a registry has one.
"""

import base64
import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from cloudevents.http import CloudEvent
from cloudevents.kafka import to_binary, to_structured
from confluent_kafka.schema_registry import (
    Schema,
    SchemaRegistryClient,
    header_schema_id_serializer,
    prefix_schema_id_serializer,
)
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
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


def emit(name, value, headers=(), key=None, schema=None):
    pairs = [[header, encoded(content)] for header, content in headers]
    line = {"name": name, "key": key and encoded(key), "headers": pairs, "value": encoded(value)}
    if schema is not None:
        line["schema"] = {"type": schema.schema_type, "text": schema.schema_str}
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


AVRO = json.dumps({
    "type": "record", "name": "Capture", "namespace": "interop", "fields": [
        {"name": "id", "type": "string"},
        {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "latency_us", "type": ["null", "long"], "default": None},
        {"name": "features", "type": {"type": "record", "name": "Features", "fields": [
            {"name": "a", "type": "double"}, {"name": "b", "type": ["null", "double"]}]}},
        {"name": "prediction", "type": {"type": "map", "values": "double"}},
    ],
})


def protobuf_message():
    """The message of capture.proto, compiled as its users do."""
    folder = tempfile.mkdtemp()
    here = Path(__file__).parent
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{here}", f"--python_out={folder}", "capture.proto"]
    subprocess.run(command, check=True)
    sys.path.insert(0, folder)
    Capture = importlib.import_module("capture_pb2").Capture
    message = Capture(id=CAPTURE["id"], latency_us=CAPTURE["latency_us"])
    message.ts.FromJsonString(CAPTURE["ts"])
    message.features.a, message.features.b = CAPTURE["features"]["a"], CAPTURE["features"]["b"]
    message.prediction["value"] = 2.0
    return Capture, message


def framed():
    Capture, message = protobuf_message()
    avro = {**CAPTURE, "ts": 1_767_323_045_678_000, "prediction": {"value": 2.0}}
    for name, where in [("prefix", prefix_schema_id_serializer), ("header", header_schema_id_serializer)]:
        client = SchemaRegistryClient.new_client({"url": "mock://goldens"})
        conf = {"auto.register.schemas": True, "schema.id.serializer": where}
        protobuf_conf = {**conf, "use.deprecated.format": False}
        writers = [
            ("json-schema", JSONSerializer(SCHEMA, client, conf=conf), CAPTURE),
            ("avro", AvroSerializer(client, AVRO, conf=conf), avro),
            ("protobuf", ProtobufSerializer(Capture, client, conf=protobuf_conf), message),
        ]
        for kind, serialize, content in writers:
            headers = []
            subject = f"{kind}-captures"
            context = SerializationContext(subject, MessageField.VALUE, headers)
            value = serialize(content, context)
            schema = client.get_latest_version(f"{subject}-value").schema
            if kind == "protobuf":
                # The client registers a descriptor; registries give its text.
                text = (Path(__file__).parent / "capture.proto").read_text()
                schema = Schema(text, "PROTOBUF")
            emit(f"{kind} {name}", value, context.headers or headers, schema=None if kind == "json-schema" else schema)


def tensors():
    import numpy as np
    from kserve import InferInput, InferOutput, InferRequest, InferResponse

    matrix = np.array([[6.75, 2.75], [6.0, 3.5]], dtype=np.float32)
    for raw in [True, False]:
        features = InferInput("f", [2, 2], "FP32")
        features.set_data_from_numpy(matrix, binary_data=raw)
        request = InferRequest(model_name="iris", request_id="i", infer_inputs=[features])
        kind = "raw" if raw else "typed"
        key, header = "i", [("seldon-infer-type", "proto/inferModelRequest")]
        emit(f"kserve-proto {kind} request", request.to_grpc().SerializeToString(), header, key)
        if not raw:
            emit("kserve-proto json request", json.dumps(request.to_rest()[0]), header, key)
        answer = InferOutput("value", [2], "FP64")
        answer.set_data_from_numpy(np.array([1.0, 2.0]), binary_data=raw)
        response = InferResponse(response_id="i", model_name="iris", infer_outputs=[answer])
        header = [("seldon-infer-type", "proto/inferModelResponse")]
        emit(f"kserve-proto {kind} response", response.to_grpc().SerializeToString(), header, key)


def triton():
    import numpy as np
    from tritonclient import grpc
    from tritonclient.grpc import _utils

    inputs = [grpc.InferInput("f", [2, 2], "FP32"), grpc.InferInput("w", [2, 1], "BYTES")]
    inputs[0].set_data_from_numpy(np.array([[6.75, 2.75], [6.0, 3.5]], dtype=np.float32))
    inputs[1].set_data_from_numpy(np.array([["no"], ["yes"]], dtype=object))
    unset = (None, 0, False, False, 0, None, None)
    request = _utils._get_inference_request("iris", inputs, "1", "i", *unset)
    emit("triton raw request", request.SerializeToString())


def bentoml():
    import bentoml

    folder = tempfile.mkdtemp()
    with bentoml.monitor("iris", monitor_class="default", monitor_options={"log_path": folder}) as monitor:
        monitor.log(6.75, name="a", role="feature", data_type="numerical")
        monitor.log(2.5, name="b", role="feature", data_type="numerical")
        monitor.log(1.0, name="value", role="prediction", data_type="numerical")
    for file in sorted(Path(folder).glob("iris/data/*.log")):
        for line in file.read_text().splitlines():
            emit("bentoml monitor", line)


def azureml():
    import pandas
    from azureml.ai.monitoring.payload import PandasFrameData, build_payload
    from azureml.ai.monitoring.worker import sender
    from azureml.ai.monitoring.context import BasicCorrelationContext
    from azureml.ai.monitoring import config

    os.environ["AZUREML_MDC_CONFIG"] = "{}"
    config.init_config("3")
    frame = pandas.DataFrame({"a": [6.75, 6.0], "b": [2.5, 3.5]})
    payload = build_payload(
        "model_inputs", PandasFrameData(frame), model_version="3", context=BasicCorrelationContext(id="i")
    )
    posted = []
    agent = sender.MdcSender("localhost", 1)
    agent._post_request = lambda url, data, headers: posted.append((data, headers)) or (200, "")
    agent.send(payload)
    data, headers = posted[0]
    emit("azureml collector", data, headers.items())


if sys.argv[1:] == ["triton"]:
    triton()
else:
    cloud_events()
    framed()
    tensors()
    bentoml()
    azureml()
    sys.stdout.flush()
    # Triton's client and KServe declare the same messages, which one process cannot hold.
    subprocess.run([sys.executable, __file__, "triton"], check=True)
