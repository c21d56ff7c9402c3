"""Measures asyncio, to compare it with concert/loop, and CPython's interpreter lock, to compare it with concert/gil.

python3 loop.py KIND N runs N operations of a kind, and prints the nanoseconds per operation. "sleepers bytes" prints
the bytes per sleeper, and "beside PORT" prints the median time of a round trip.
python3 loop.py serve prints the port of an echo server, and serves until its standard input ends.
With the word "uvloop" before the other arguments, asyncio runs on uvloop.
"""
import asyncio
import os
import socket
import sys
import threading
import time


async def nothing():
    pass


def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def measure(kind, n):
    begin = time.perf_counter_ns()
    if kind == "create":
        for _ in range(n):
            await asyncio.create_task(nothing())
    elif kind == "group":
        for _ in range(n // 1000):
            async with asyncio.TaskGroup() as g:
                for _ in range(1000):
                    g.create_task(nothing())
    elif kind == "yield":

        async def turns():
            for _ in range(n // 2):
                await asyncio.sleep(0)

        await asyncio.gather(turns(), turns())
    elif kind == "queue":
        q = asyncio.Queue(1)

        async def get():
            for _ in range(n):
                await q.get()

        getter = asyncio.create_task(get())
        for i in range(n):
            await q.put(i)
        await getter
    elif kind == "event":
        ask, answer = asyncio.Event(), asyncio.Event()

        async def reply():
            while True:
                await ask.wait()
                ask.clear()
                answer.set()

        replier = asyncio.create_task(reply())
        for _ in range(n):
            ask.set()
            await answer.wait()
            answer.clear()
        replier.cancel()
    elif kind == "offload":
        loop = asyncio.get_running_loop()
        for i in range(n):
            await loop.run_in_executor(None, abs, i)
    elif kind.startswith("sleepers"):
        before = resident()
        tasks = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(n)]
        await asyncio.sleep(0)
        created = time.perf_counter_ns()
        size = (resident() - before) / n
        middle = time.perf_counter_ns()
        for t in tasks:
            t.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return {"created": (created - begin) / n, "canceled": (time.perf_counter_ns() - middle) / n, "bytes": size}[kind.split()[1]]
    return (time.perf_counter_ns() - begin) / n


async def serve():
    async def echo(reader, writer):
        try:
            while data := await reader.read(4096):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_reader(0, lambda: ended.done() or ended.set_result(None))
    await ended


def beside(port, n):
    """Returns the median time of a round trip to a server in another process, while another thread computes."""
    done = False

    def spin():
        while not done:
            sum(range(100))

    hog = threading.Thread(target=spin)
    hog.start()
    times = []
    with socket.create_connection(("127.0.0.1", port)) as c:
        for _ in range(n):
            begin = time.perf_counter_ns()
            c.send(b"x")
            c.recv(1)
            times.append(time.perf_counter_ns() - begin)
    done = True
    hog.join()
    return sorted(times)[n // 2]


if sys.argv[1] == "uvloop":
    del sys.argv[1]
    import uvloop

    uvloop.install()
if sys.argv[1] == "serve":
    asyncio.run(serve())
elif sys.argv[1].startswith("beside"):
    print(beside(int(sys.argv[1].split()[1]), int(sys.argv[2])))
else:
    print(asyncio.run(measure(sys.argv[1], int(sys.argv[2]))))
