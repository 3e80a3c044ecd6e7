"""A stranger in a consumer group: joins, is given partitions, leaves, and comes again.

    group_stranger.py BOOTSTRAP TOPIC GROUP PAUSE_S

Prints one JSON line each time it has partitions: how often that was, and how many it was given. It
commits offsets as well, which a reader that knows its own positions must not follow.
"""

import json
import sys
import time

from confluent_kafka import Consumer, TopicPartition

bootstrap, topic, group, pause_s = sys.argv[1:]
joined = 0
while True:
    began = time.monotonic()
    member = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "log_level": 0,
                       "enable.auto.commit": False, "auto.offset.reset": "earliest"})
    member.subscribe([topic])
    while not (given := member.assignment()):
        member.poll(0.1)
    member.commit(offsets=[TopicPartition(topic, at.partition, 1) for at in given], asynchronous=False)
    joined += 1
    print(json.dumps({"joined": joined, "partitions": len(given)}), flush=True)
    member.close()
    time.sleep(max(0, float(pause_s) - (time.monotonic() - began)))
