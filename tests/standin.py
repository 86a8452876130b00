"""A stand-in for the Hugging Face Hub on loopback: real repositories on disk, and failures on demand."""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlparse

TOKEN = "hf_StandInTokenForTestsOnly0123456789"


class Hub(ThreadingHTTPServer):
    """`folder/OWNER/NAME/` holds a repository's files, `folder/.lfs/` what was uploaded and not yet committed."""

    daemon_threads = True

    def __init__(self, folder: Path):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.failures, self.seen, self.cards = folder, [], [], {}
        (folder / ".lfs").mkdir(parents=True)

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fail(self, part: str, how, times: int = 1):
        """Let the next requests whose path contains `part` fail: an HTTP status, or "break" for a broken connection."""
        self.failures += [(part, how)] * times

    def handle_error(self, request, client):
        pass


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def answer(self, status: int, body=b"", **headers):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_request(self):
        hub, path = self.server, unquote(urlparse(self.path).path)
        hub.seen.append((self.command, path))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        for number, (part, how) in enumerate(hub.failures):
            if part in path:
                del hub.failures[number]
                if how == "break":
                    self.close_connection = True
                    self.connection.close()
                    return None
                return self.answer(how, {"error": "on demand"})
        if path.startswith("/lfs/"):
            (hub.folder / ".lfs" / path.rpartition("/")[2]).write_bytes(body)
            return self.answer(200)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(401, {"error": "Invalid credentials"})
        return self.route(hub, path, body)

    do_GET = do_POST = do_PUT = do_HEAD = handle_request

    def route(self, hub, path, body):
        words = path.strip("/").split("/")
        if path == "/api/whoami-v2":
            return self.answer(200, {"name": "lab", "type": "user", "orgs": []})
        if path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if path == "/api/repos/create":
            told = json.loads(body)
            name = f"{told.get('organization') or 'lab'}/{told['name']}"
            exists = (hub.folder / name).exists()
            if not exists:
                (hub.folder / name).mkdir(parents=True)
                hub.cards[name] = {"private": told.get("visibility") == "private" or told.get("private") is True}
            return self.answer(
                409 if exists else 200, {"url": f"{hub.address}/{name}", "error": "You already created this model repo"}
            )
        if words[:2] == ["api", "models"] or words[:2] == ["api", "datasets"]:
            return self.repository(hub, f"{words[2]}/{words[3]}", words[4:], body)
        if path.endswith(".git/info/lfs/objects/batch"):
            return self.answer(
                200, {"transfer": "basic", "objects": [self.wanted(hub, one) for one in json.loads(body)["objects"]]}
            )
        return self.file(hub, words)

    def wanted(self, hub, one):
        if (hub.folder / ".lfs" / one["oid"]).exists():
            return one
        return {**one, "actions": {"upload": {"href": f"{hub.address}/lfs/{one['oid']}"}}}

    def repository(self, hub, name, words, body):
        folder = hub.folder / name
        if not folder.exists():
            return self.answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
        if words[:1] == ["preupload"]:
            files = [
                {"path": one["path"], "shouldIgnore": False, "uploadMode": "lfs" if one["size"] > 10_000 else "regular"}
                for one in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": files})
        if words[:1] == ["commit"]:
            for line in body.splitlines():
                self.keep(hub, folder, json.loads(line))
            return self.answer(
                200, {"commitUrl": f"{hub.address}/{name}/commit/{revision(folder)}", "commitOid": revision(folder)}
            )
        if words[:1] == ["tree"]:
            return self.answer(200, [self.entry(folder, one) for one in sorted(folder.rglob("*"))])
        if words[:1] == ["paths-info"]:
            wanted = parse_qs(body.decode()).get("paths", []) if body[:1] != b"{" else json.loads(body)["paths"]
            return self.answer(
                200, [self.entry(folder, folder / one) for one in wanted if one and (folder / one).exists()]
            )
        names = sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())
        return self.answer(
            200,
            {
                "id": name,
                "modelId": name,
                "sha": revision(folder),
                "siblings": [{"rfilename": one} for one in names],
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "lastModified": "2026-11-22T00:00:00.000Z",
                "gated": False,
                "disabled": False,
                "cardData": {"license": "mit"},
                **hub.cards.get(name, {"private": False}),
            },
        )

    def entry(self, folder, path):
        """A file or folder as the tree API lists it."""
        name = str(path.relative_to(folder))
        kind, size = ("directory", 0) if path.is_dir() else ("file", path.stat().st_size)
        return {"type": kind, "oid": hashlib.sha1(name.encode()).hexdigest(), "size": size, "path": name}

    def keep(self, hub, folder, item):
        value = item["value"]
        if item["key"] == "file":
            (folder / value["path"]).write_bytes(base64.b64decode(value["content"]))
        elif item["key"] == "lfsFile":
            (folder / value["path"]).write_bytes((hub.folder / ".lfs" / value["oid"]).read_bytes())

    def file(self, hub, words):
        """/OWNER/NAME/resolve/REVISION/PATH, for data sets behind /datasets"""
        words = words[1:] if words[0] == "datasets" else words
        place = hub.folder.joinpath(*words[:2], *words[4:])
        if words[2:3] != ["resolve"] or not place.is_file():
            return self.answer(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound")
        content, commit = place.read_bytes(), revision(hub.folder.joinpath(*words[:2]))
        return self.answer(200, content, ETag=f'"{hashlib.sha256(content).hexdigest()}"', X_Repo_Commit=commit)


def revision(folder: Path) -> str:
    """A commit hash over the names and contents of a repository."""
    files = sorted(one for one in folder.rglob("*") if one.is_file())
    return hashlib.sha1(b"".join(str(one.relative_to(folder)).encode() + one.read_bytes() for one in files)).hexdigest()


@contextmanager
def serving(folder: Path):
    hub = Hub(folder)
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
