"""redis-py, by RESP2 and RESP3."""

import sys
import threading

import redis

port = int(sys.argv[1])

for protocol in (2, 3):
    r = redis.Redis(port=port, protocol=protocol, decode_responses=True)
    r.flushall()
    assert r.ping()
    assert r.set("k", "v") and r.get("k") == "v"
    assert r.set("k", "w", nx=True) is None
    assert r.set("k", "w", xx=True, get=True) == "v"
    assert r.set("gone", "soon", px=60_000) and 0 < r.pttl("gone") <= 60_000
    assert r.mset({"a": "1", "b": "2"}) and r.mget("a", "nothing", "b") == ["1", None, "2"]
    assert r.incrby("n", 41) == 41 and r.incr("n") == 42
    assert r.incrbyfloat("f", 0.1) == 0.1 and r.incrbyfloat("f", 0.2) == 0.3
    assert r.append("k", "!") == 2 and r.getrange("k", 0, 0) == "w"

    assert r.sadd("s", "x", "y", "z") == 3 and r.smembers("s") == {"x", "y", "z"}
    assert r.sismember("s", "x") and r.srem("s", "x") == 1 and r.scard("s") == 2
    assert set(r.sscan_iter("s")) == {"y", "z"}

    assert r.hset("h", mapping={"f": "1", "g": "2"}) == 2 and r.hgetall("h") == {"f": "1", "g": "2"}
    assert r.hincrby("h", "f", 9) == 10 and r.hdel("h", "g") == 1 and r.hlen("h") == 1

    assert r.zadd("z", {"ada": 1, "bob": 2.5, "cy": 3}) == 3
    assert r.zrange("z", 0, -1, withscores=True) in (
        [("ada", 1.0), ("bob", 2.5), ("cy", 3.0)],
        [["ada", 1.0], ["bob", 2.5], ["cy", 3.0]],
    )
    assert r.zrank("z", "cy") == 2 and r.zincrby("z", 1, "ada") == 2.0
    assert r.zrangebyscore("z", 2, 2.5) == ["ada", "bob"]

    assert tuple(r.bzpopmax("z", 1)) == ("z", "cy", 3.0)
    assert r.bzpopmin("nothing", 0.01) is None
    jobs = []
    worker = redis.Redis(port=port, protocol=protocol, decode_responses=True)
    waiting = threading.Thread(target=lambda: jobs.append(worker.bzpopmin("jobs", 0)), daemon=True)
    waiting.start()
    while r.info("clients")["blocked_clients"] < 1:
        pass
    r.zadd("jobs", {"first": 1, "second": 2})
    waiting.join(20)
    assert [tuple(job) for job in jobs] == [("jobs", "first", 1.0)]
    worker.close()
    assert r.sort("s", alpha=True, desc=True) == ["z", "y"]

    with r.pipeline(transaction=True) as pipe:
        assert pipe.set("p", "1").incr("p").get("p").execute() == [True, 2, "2"]
    with r.pipeline() as pipe:
        pipe.watch("p")
        r.set("p", "elsewhere")
        pipe.multi()
        pipe.set("p", "mine")
        try:
            pipe.execute()
            raise AssertionError("what is watched has changed")
        except redis.WatchError:
            pass
    assert sorted(r.scan_iter(match="[ab]")) == ["a", "b"]
    assert r.type("z") == "zset" and r.exists("a", "b") == 2 and r.delete("a", "b") == 2
    try:
        r.incr("s")
        raise AssertionError("a set is no number")
    except redis.ResponseError as error:
        assert "WRONGTYPE" in str(error)
    assert "redis_version" in r.info() and isinstance(r.config_get("maxmemory"), dict)
    assert r.client_setname("py") and r.client_getname() == "py"
    assert any(client["name"] == "py" for client in r.client_list())

    heard = []
    listener = r.pubsub()
    listener.subscribe("news")
    listener.psubscribe("n?ws")
    done = threading.Event()

    def listen():
        for message in listener.listen():
            if message["type"] in ("message", "pmessage"):
                heard.append((message["type"], message["data"]))
                if len(heard) == 2:
                    break
        done.set()

    threading.Thread(target=listen, daemon=True).start()
    while r.pubsub_numsub("news")[0][1] < 1:
        pass
    r.publish("news", "hello")
    assert done.wait(20)
    assert sorted(heard) == [("message", "hello"), ("pmessage", "hello")]
    listener.close()
    r.close()
print("ok", redis.__version__)
