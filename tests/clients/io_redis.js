// ioredis, with its pipelines, transactions, scans and subscriptions.
const assert = require("node:assert");
const Redis = require("ioredis");

async function main() {
  const options = { port: Number(process.argv[2]), host: "127.0.0.1", lazyConnect: true };
  const redis = new Redis(options);
  await redis.connect();
  await redis.flushall();
  assert.equal(await redis.set("k", "v"), "OK");
  assert.equal(await redis.get("k"), "v");
  assert.deepEqual(await redis.getBuffer("k"), Buffer.from("v"));
  const binary = Buffer.from([0, 255, 13, 10]);
  await redis.set(binary, binary, "EX", 60);
  assert.deepEqual(await redis.getBuffer(binary), binary);
  assert.equal(await redis.incr("n"), 1);
  const piped = await redis.pipeline().set("a", 1).incr("a").get("a").lpush("no", "lists").exec();
  assert.deepEqual(piped.slice(0, 3), [[null, "OK"], [null, 2], [null, "2"]]);
  assert.match(piped[3][0].message, /unknown command/);
  assert.deepEqual(await redis.multi().incr("a").get("a").exec(), [[null, 3], [null, "3"]]);
  await redis.hset("h", { f: 1, g: 2 });
  assert.deepEqual(await redis.hgetall("h"), { f: "1", g: "2" });
  await redis.sadd("s", 1, 2, 3);
  assert.equal(await redis.scard("s"), 3);
  await redis.zadd("z", 1, "one", 2, "two");
  assert.deepEqual(await redis.zrange("z", 0, -1, "WITHSCORES"), ["one", "1", "two", "2"]);
  const worker = redis.duplicate();
  await worker.connect();
  const jobs = [worker.bzpopmin("jobs", 0), worker.bzpopmax("nothing", 0.01)];
  await redis.zadd("jobs", 1, "first", 2, "second");
  assert.deepEqual(await Promise.all(jobs), [["jobs", "first", "1"], null]);
  await redis.del("jobs");
  assert.deepEqual(await redis.sort("s", "DESC", "LIMIT", 0, 2), ["3", "2"]);
  const keys = [];
  for await (const page of redis.scanStream({ match: "?" })) keys.push(...page);
  assert.deepEqual(keys.sort(), ["a", "h", "k", "n", "s", "z"]);

  const subscriber = redis.duplicate();
  await subscriber.connect();
  const heard = new Promise((resolve) => subscriber.on("message", (...said) => resolve(said)));
  await subscriber.subscribe("news");
  await redis.publish("news", "hello");
  assert.deepEqual(await heard, ["news", "hello"]);

  for (const client of [worker, subscriber, redis]) client.disconnect();
  console.log("ok", require("ioredis/package.json").version);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
