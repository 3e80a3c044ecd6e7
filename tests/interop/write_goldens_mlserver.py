"""Writes records with MLServer's own writers: its Kafka messages in JSON, and its requests and responses in Protobuf with
typed and raw contents. Its dependencies do not go with those of the others, so it has an environment of its own.

    python tests/interop/write_goldens_mlserver.py >> ingest/formats/src/mapped/tests/goldens.jsonl
"""

import base64
import json
import sys

from mlserver.grpc.converters import ModelInferRequestConverter, ModelInferResponseConverter
from mlserver.kafka.message import KafkaMessage
from mlserver.types import InferenceRequest, InferenceResponse, RequestInput, ResponseOutput

REQUEST = InferenceRequest(
    id="i", inputs=[RequestInput(name="f", shape=[2, 2], datatype="FP32", data=[6.75, 2.75, 6.0, 3.5])]
)
RESPONSE = InferenceResponse(
    id="i", model_name="iris", outputs=[ResponseOutput(name="value", shape=[2], datatype="FP64", data=[1.0, 2.0])]
)


def emit(name, value):
    line = {"name": name, "key": None, "headers": [], "value": base64.b64encode(value).decode()}
    sys.stdout.write(json.dumps(line) + "\n")


for side, content in [("request", REQUEST), ("response", RESPONSE)]:
    emit(f"mlserver kafka {side}", KafkaMessage.from_types("i", content, {}).encoded_value)
# Raw contents are taken out of what they are made of.
request = ModelInferRequestConverter.from_types(REQUEST, model_name="iris", model_version=None, use_raw=True)
emit("mlserver raw request", request.SerializeToString())
response = ModelInferResponseConverter.from_types(RESPONSE, use_raw=True)
emit("mlserver raw response", response.SerializeToString())
