"""What `make` does with Docker, run by the machine's own Python: build an image, run hft in it, say what is in it.

Standard library only (Python 3.8 or newer): a server that runs images needs no virtual environment.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))
from hft.runs import image  # noqa: E402  hft is not installed for the machine's own Python

WORLDS = ("cpu", "cuda")
# Variable, its name outside Docker, default.
FOLDERS = (
    ("RUNS", "HFT_RUNS", HERE / "runs"),
    ("DATA", "HFT_DATA", HERE / "data"),
    ("RECIPES", None, HERE / "recipes"),
    ("CACHE", None, "~/.cache/hft-image"),
)
CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


def name(world: str) -> str:
    """The image of a world, cpu or cuda: IMAGE, else hft:WORLD."""
    return os.environ.get("IMAGE") or f"hft:{world}"


def build(target: str, options: list) -> int:
    """Build a target of the Dockerfile; an image gets labels that say what is in it. `options` go to docker build."""
    if not answers(["docker", "buildx", "version"]):
        print(
            "Error: docker has no buildx here\n  Fix: install Docker with the plugins buildx and compose "
            "(Ubuntu: apt-get install docker.io docker-buildx docker-compose-v2)",
            file=sys.stderr,
        )
        return 1
    command = ["docker", "buildx", "build", "--target", target, *options]
    if target in WORLDS:
        facts = labels(target)
        revision_argument = f"REVISION={facts['org.opencontainers.image.revision']}"
        command += ["--load", "--tag", name(target), "--build-arg", revision_argument]
        command += [word for label in facts for word in ("--label", f"{label}={facts[label]}")]
    if os.environ.get("BASE_IMAGE"):
        command += ["--build-arg", f"BASE_IMAGE={os.environ['BASE_IMAGE']}"]
    if os.environ.get("LLAMA_CPP"):  # a finished build, such as ~/.cache/hft/llama.cpp-*
        command += ["--build-context", f"llama={os.environ['LLAMA_CPP']}"]
    wheels = (os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS") or "").replace(",", " ").split()
    if wheels:
        command += ["--build-context", f"wheels={wheels[0]}"]
    if os.environ.get("TORCH_INDEX"):
        command += ["--build-arg", f"TORCH_INDEX={os.environ['TORCH_INDEX']}"]
    bundles = (os.environ.get("SSL_CERT_FILE"), *CA_BUNDLES)
    if bundle := next((path for path in bundles if path and Path(path).is_file()), None):
        # For networks whose proxy signs TLS anew; it stays out of the layers.
        command += ["--secret", f"id=ca,src={bundle}"]
    return subprocess.call([*command, str(HERE)])


def answers(command: list) -> bool:
    """True when a command is there and succeeds."""
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def labels(world: str) -> dict:
    """What the image says of itself: revision, lock, torch, CUDA, llama.cpp, and the digest of hft's own code."""
    lock = (HERE / "requirements" / f"{world}.lock").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.M))
    llamacpp = (HERE / "hft" / "export" / "llamacpp.py").read_text(encoding="utf-8")
    commit = re.search(r'^COMMIT = "(\w+)"', llamacpp, re.M)
    return {
        "org.opencontainers.image.title": "hft",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.revision": revision(),
        "hft.lock": image.lock_digest(HERE / "requirements" / f"{world}.lock"),
        "hft.torch": pins["torch"],
        "hft.cuda": pins.get("nvidia-cuda-runtime", "none"),
        "hft.llama-cpp": commit[1],
        "hft.code": image.content(HERE / "hft"),
    }


def revision() -> str:
    """The commit that is built, with `-changed` when the files are not the commit's."""
    git = ["git", "-c", f"safe.directory={HERE}", "-C", str(HERE)]  # also for root in another user's clone
    commit = subprocess.run([*git, "rev-parse", "HEAD"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if commit.returncode:
        return "unknown"
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--", "hft", "recipes", "requirements", "tools", "Dockerfile"],
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    return commit.stdout.strip() + ("-changed" if changed else "")


def run(service: str, world: str, arguments: list, options: tuple = ()) -> int:
    """Run a service of docker-compose.yml as the caller, with the caller's folders; returns its exit code."""
    complaint = ready(world)
    if complaint:
        print(complaint, file=sys.stderr)
        return 1
    owner = caller()
    environment = dict(os.environ, HFT_USER=os.environ.get("HFT_USER") or "{}:{}".format(*owner))
    for variable, own, usual in FOLDERS:
        folder = Path(os.environ.get(variable) or (own and os.environ.get(own)) or usual).expanduser().resolve()
        if not folder.exists():  # or Docker makes it, owned by root
            folder.mkdir(parents=True)
            os.chown(folder, *owner)
        environment[variable] = str(folder)
    compose = ["docker", "compose", "--project-directory", str(HERE), "--file", str(HERE / "docker-compose.yml")]
    command = [*compose, "run", "--rm"]
    command += [] if sys.stdin.isatty() and sys.stdout.isatty() else ["--no-TTY"]
    with tempfile.TemporaryDirectory() as private:
        # The token goes through a file: a command line is everybody's to read.
        os.chown(private, *owner)
        environment.update(token(Path(private), owner))
        environment.pop("HF_TOKEN", None)
        return wait([*command, *options, service, *arguments], environment)


def caller() -> tuple:
    """(uid, gid) of whoever typed the command, also behind sudo."""
    if os.geteuid() == 0 and os.environ.get("SUDO_UID"):
        return int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"])
    return os.getuid(), os.getgid()


def ready(world: str) -> str:
    """What stands in the way of running the image, with the remedy; empty when nothing does.

    Says when the code has changed since it was built.
    """
    wanted = '{{index .Config.Labels "hft.code"}}'
    inspect = ["docker", "image", "inspect", "--format", wanted, name(world)]
    try:
        answer = subprocess.run(inspect, capture_output=True, text=True)
    except FileNotFoundError:
        return (
            "Error: docker is not installed\n"
            "  Fix: install Docker with the compose plugin, or run without it: make ENGINE=local ..."
        )
    if answer.returncode and "No such" in answer.stderr and not os.environ.get("IMAGE"):
        return (
            f"Error: there is no image {name(world)}\n"
            f"  Fix: make build LOCK={world}   (or run without Docker: make ENGINE=local ...)"
        )
    if answer.returncode and "permission denied" in answer.stderr:
        return (
            "Error: you may not use Docker\n"
            "  Fix: sudo usermod -aG docker $USER, and log in again; or make ENGINE=local ..."
        )
    if answer.returncode and not os.environ.get("IMAGE"):
        return f"Error: {answer.stderr.strip()}\n  Fix: start Docker, or run without it: make ENGINE=local ..."
    if not answer.returncode and answer.stdout.strip() != image.content(HERE / "hft"):
        print(f"Note: hft/ is not what {name(world)} was built from; `make build` takes it in.", flush=True)
    return ""


def token(private: Path, owner: tuple) -> dict:
    """HF_TOKEN_FILE for compose: the caller's, else HF_TOKEN in a private file, else the Hugging Face login's."""
    if os.environ.get("HF_TOKEN_FILE"):
        return {}
    login = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface", "token")
    if os.environ.get("HF_TOKEN"):
        login = private / "token"
        login.touch(mode=0o600)
        login.write_text(os.environ["HF_TOKEN"] + "\n", encoding="utf-8")
        os.chown(login, *owner)
    return {"HF_TOKEN_FILE": str(login)} if login.is_file() else {}


def wait(command: list, environment: dict) -> int:
    """Run a command to its end; returns its exit code.

    Ctrl-C is the command's own, which saves and stops; a stop or a lost terminal is handed on to it.
    """
    with subprocess.Popen(command, env=environment) as process:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, frame: process.send_signal(signal.SIGTERM))
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue


def main(verb: str, world: str, *arguments: str) -> int:
    """Do what `make` asks: build, smoke, shell or run; returns an exit code."""
    if verb == "build":
        return build(world, list(arguments))
    if verb == "smoke":
        return run("smoke", world, ["train", "--anew", *arguments])
    if verb == "shell":
        return run(world, world, list(arguments), ("--entrypoint", "bash"))
    return run(world, world, list(arguments))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
