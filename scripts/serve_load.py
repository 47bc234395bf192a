#!/usr/bin/env python3
"""Load for `imgcap serve`: 32 clients at once, good and bad ones, on this machine.

    scripts/serve_load.py [--seconds 600] [--clients 32] [--imgcap build/bin/imgcap] [--model attention]

First photos one after the other from one client, then from all of them at once, then everything mixed: good photos as forms, as
bytes and as events, several in a request, photos that are none, bodies that are too large, clients that send slowly, that hang up,
that read nothing. Prints answers by kind, times, photos per second beside the one-at-a-time figure, and the server's memory as it
goes. Exits 1 when an answer is not the one that was asked for, or, in five minutes and more, when memory grows by 5 % and more
between a fifth of the mixed time and its end. Needs Python's standard library alone.
"""
import argparse
import collections
import http.client
import json
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PHOTOS = [p.read_bytes() for p in sorted((ROOT / 'assets' / 'photos').glob('*.jpg'))]
BOUNDARY = 'thirty-two-clients'


class Wrong(Exception):
    pass


def form(photos, options=None):
    parts = [(f'form-data; name="photo"; filename="{i}.jpg"', 'image/jpeg', p) for i, p in enumerate(photos)]
    if options is not None:
        parts.append(('form-data; name="options"', 'application/json', json.dumps(options).encode()))
    body = b''
    for disposition, kind, data in parts:
        body += f'--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\nContent-Type: {kind}\r\n\r\n'.encode() + data + b'\r\n'
    return body + f'--{BOUNDARY}--\r\n'.encode(), f'multipart/form-data; boundary={BOUNDARY}'


class Load:
    def __init__(self, port, rng):
        self.port, self.rng = port, rng

    def photo(self):
        return self.rng.choice(PHOTOS)

    def post(self, path, body, kind, more=None):
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=90)
        try:
            connection.request('POST', path, body, {'Content-Type': kind, **(more or {})})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    # Each returns the photos that were captioned; 429 is the right answer of a full server.

    def good(self, count=1, options=None):
        body, kind = form([self.photo() for _ in range(count)], options)
        status, text = self.post('/api/caption', body, kind)
        if status == 429:
            return 0
        if status != 200 or len(json.loads(text)['photos']) != count:
            raise Wrong(f'good: {status} {text[:200]}')
        if not all(photo['captions'][0]['caption'] for photo in json.loads(text)['photos']):
            raise Wrong(f'good: {text[:200]}')
        return count

    def raw(self):
        status, text = self.post('/api/caption?beam=3&attention=1', self.photo(), 'image/jpeg')
        if status == 429:
            return 0
        if status != 200 or 'attention' not in json.loads(text)['photos'][0]['captions'][0]:
            raise Wrong(f'raw: {status} {text[:200]}')
        return 1

    def events(self):
        body, kind = form([self.photo()])
        status, text = self.post('/api/caption', body, kind, {'Accept': 'text/event-stream'})
        if status == 429:
            return 0
        names = re.findall(r'^event: (\w+)$', text.decode(), re.M)
        if status != 200 or names[0] != 'photo' or names[-2:] != ['caption', 'end']:
            raise Wrong(f'events: {status} {names}')
        return 1

    def several(self):
        return self.good(self.rng.randint(2, 6), {'language': 'all', 'nbest': 3})

    def broken(self):
        photo = bytearray(self.photo())
        if self.rng.random() < 0.5:
            del photo[self.rng.randint(20, 400):]
        else:
            photo[:200] = bytes(self.rng.randrange(256) for _ in range(200))
        status, text = self.post('/api/caption', bytes(photo), 'image/jpeg')
        if status not in (422, 429) or 'error' not in json.loads(text):
            raise Wrong(f'broken: {status} {text[:200]}')
        return 0

    def malformed(self):
        body, kind = form([self.photo()])
        status, text = self.post('/api/caption', body[:-40], kind)
        if status not in (400, 429) or 'error' not in json.loads(text):
            raise Wrong(f'malformed: {status} {text[:200]}')
        return 0

    def huge(self):
        # The answer may come before the body's end, so it is looked for while sending.
        with socket.create_connection(('127.0.0.1', self.port), timeout=90) as connection:
            connection.sendall(b'POST /api/caption HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n'
                               b'Transfer-Encoding: chunked\r\n\r\n')
            piece = b'100000\r\n' + bytes(1 << 20) + b'\r\n'
            try:
                for _ in range(40):
                    connection.sendall(piece)
            except OSError:
                pass
            answer = connection.recv(100)
            if b' 413 ' not in answer and b' 503 ' not in answer:
                raise Wrong(f'huge: {answer!r}')
        return 0

    def slow(self):
        with socket.create_connection(('127.0.0.1', self.port), timeout=90) as connection:
            begun = time.monotonic()
            for letter in b'POST /api/caption HTTP/1.1\r\nHost: localhost\r\nX-Slow: ' + b'a' * 60:
                try:
                    connection.sendall(bytes([letter]))
                except OSError:
                    break
                time.sleep(0.25)
                if time.monotonic() - begun > 30:
                    raise Wrong('slow: never cut')
            answer = connection.recv(100)
            if answer and b' 408 ' not in answer:
                raise Wrong(f'slow: {answer!r}')
        return 0

    def hangs_up(self):
        body, kind = form([self.photo() for _ in range(4)], {'language': 'all'})
        with socket.create_connection(('127.0.0.1', self.port), timeout=90) as connection:
            connection.sendall(f'POST /api/caption HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n'
                               f'Content-Length: {len(body)}\r\n\r\n'.encode() + body)
            time.sleep(self.rng.random() * 0.3)
        return 0

    def other(self):
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=90)
        try:
            for path, wanted in (('/', 200), ('/api/models', 200), ('/healthz', 200), ('/nothing', 404)):
                connection.request('GET', path)
                answer = connection.getresponse()
                answer.read()
                if answer.status != wanted:
                    raise Wrong(f'GET {path}: {answer.status}')
        finally:
            connection.close()
        return 0


MIX = ['good'] * 8 + ['raw'] * 4 + ['events'] * 3 + ['several', 'broken', 'broken', 'malformed', 'huge', 'slow', 'hangs_up', 'other']


def clients(port, count, seconds, kinds, seed):
    """-> (kind -> seconds of each call, photos, wrong answers)"""
    end = time.monotonic() + seconds
    times, photos, wrong = collections.defaultdict(list), [], []

    def client(number):
        rng = random.Random(seed * 1000 + number)
        load = Load(port, rng)
        while time.monotonic() < end:
            kind = rng.choice(kinds)
            begun = time.monotonic()
            try:
                photos.append(getattr(load, kind)())
            except Exception as error:  # whatever it is, it is not the answer
                wrong.append(f'{kind}: {error!r}')
            times[kind].append(time.monotonic() - begun)

    threads = [threading.Thread(target=client, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, sum(photos), wrong


def resident(pid):
    return int(re.search(r'VmRSS:\s+(\d+)', pathlib.Path(f'/proc/{pid}/status').read_text()).group(1)) / 1024


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--seconds', type=float, default=600)
    parser.add_argument('--clients', type=int, default=32)
    parser.add_argument('--imgcap', default=str(ROOT / 'build' / 'bin' / 'imgcap'))
    parser.add_argument('--model', default='attention')
    options = parser.parse_args()
    server = subprocess.Popen([options.imgcap, 'serve', '--port', '0', '--model', options.model], stdout=subprocess.PIPE, text=True)
    try:
        port = int(re.search(r':(\d+)/', server.stdout.readline()).group(1))
        alone = min(20, options.seconds / 8)
        clients(port, 1, min(2, alone), ['good'], 0)  # warm-up
        begun = time.monotonic()
        _, photos, wrong = clients(port, 1, alone, ['good'], 1)
        one = photos / (time.monotonic() - begun)
        begun = time.monotonic()
        times, photos, more = clients(port, options.clients, alone, ['good'], 2)
        many = photos / (time.monotonic() - begun)
        wrong += more
        print(f'photos per second: {one:.1f} one at a time, {many:.1f} from {options.clients} clients: {many / one:.2f}x')
        good = times['good']
        print('seconds, good alone: ' + ', '.join(f'p{q:g} {quantile(good, q / 100):.2f}' for q in (50, 95, 99)))
        memory = []

        def watch():
            while server.poll() is None and not over.is_set():
                memory.append((time.monotonic() - begun, resident(server.pid)))
                over.wait(1)

        over, begun = threading.Event(), time.monotonic()
        watcher = threading.Thread(target=watch)
        watcher.start()
        times, photos, more = clients(port, options.clients, options.seconds - 2 * alone, MIX, 3)
        took = time.monotonic() - begun
        over.set()
        watcher.join()
        wrong += more
        print(f'mixed, {took:.0f} s: {photos} photos, {photos / took:.1f} per second')
        for kind in sorted(times):
            print(f'  {kind:10} {len(times[kind]):6} requests, seconds ' +
                  ', '.join(f'p{q:g} {quantile(times[kind], q / 100):.2f}' for q in (50, 95, 99)))
        early = max(m for t, m in memory if t <= max(took / 5, 5))
        late = memory[-1][1]
        grown = 100 * (late / early - 1)
        print(f'memory: {early:.0f} MiB after a fifth, {late:.0f} MiB at the end: {grown:+.1f} %')
        server.send_signal(signal.SIGTERM)
        code = server.wait(60)
        for each in wrong[:20]:
            print('WRONG', each)
        if code != 0:
            print(f'WRONG the server ended with {code}')
        return 1 if wrong or code != 0 or (grown >= 5 and options.seconds >= 300) else 0
    finally:
        if server.poll() is None:
            server.kill()


if __name__ == '__main__':
    sys.exit(main())
