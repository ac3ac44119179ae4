#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The interpreters to test with: those of this machine, and those of Debian's newer suites.

    tests/pythons.py list     one line per interpreter: LABEL <TAB> VERSION <TAB> [command words]
    tests/pythons.py fetch    unpack the ones of trixie and sid below build/pythons

The fetched ones are not installed: each suite is unpacked into a root of its own, with its own C
library, and its interpreters run there through chroot. The mirror is the one in this machine's
apt configuration. Where there is no such mirror, or no root, fetching is skipped with a notice.

As a module: `interpreters()`, and each one's `start()`.
"""

import atexit
import contextlib
import ctypes
import fcntl
import glob
import json
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile

OLDEST, NEWEST = (3, 8), (3, 15)
SUITES = {"trixie": ("3.13",), "sid": ("3.13", "3.14", "3.15")}
HOME = pathlib.Path(os.environ.get("TRACKEXEC_PYTHONS") or
                    pathlib.Path(__file__).resolve().parent.parent / "build" / "pythons")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

PROBE = """
import json, platform, sys, sysconfig
print(json.dumps({
    "exe": sys.executable, "implementation": sys.implementation.name,
    "version": sys.version_info[:3], "release": sys.version_info[3] == "final",
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
}))
"""


class Interpreter:
    """One interpreter; `root` is the folder that it runs in by chroot, or None."""

    def __init__(self, label, version, path, root=None, free_threaded=False):
        self.label = label
        self.version = tuple(version)
        self.path = path
        self.root = root
        self.free_threaded = free_threaded

    def __repr__(self):
        return f"<Interpreter {self.label}>"

    @property
    def command(self):
        """The words that start it; they exec, so the process keeps its id."""
        return ["chroot", self.root, self.path] if self.root else [self.path]

    @property
    def version_text(self):
        return ".".join(map(str, self.version))

    def outside(self, path):
        """Where a path as the program sees it is for us."""
        return self.root + path if self.root else path

    def folder(self):
        """A new folder that the interpreter can see; (outside path, path as it sees it)."""
        base = os.path.join(self.root or "", "tmp") if self.root else None
        path = tempfile.mkdtemp(prefix="trackexec-", dir=base)
        os.chmod(path, 0o755)
        atexit.register(shutil.rmtree, path, ignore_errors=True)
        return path, path[len(self.root):] if self.root else path

    def place(self, script, name="program.py"):
        """Make a script (a path, or a text with a newline) visible to the interpreter: its path."""
        is_text = "\n" in str(script)
        if not is_text and not self.root:
            return str(script)
        outside, inside = self.folder()
        if is_text:
            pathlib.Path(outside, name).write_text(script, encoding="utf-8")
        else:
            # With its neighbours, which it may import.
            name = os.path.basename(script)
            for path in glob.glob(os.path.join(os.path.dirname(script), "*.py")):
                shutil.copy(path, outside)
        return os.path.join(inside, name)

    def start(self, script, *args, env=None, **popen):
        """Start a script (path or text); a Popen whose `script` is the path that tracebacks show.

        The program ends with this process, whatever happens to it.
        """
        place = self.place(script)
        popen.setdefault("preexec_fn", die_with_parent)
        popen.setdefault("stdin", subprocess.DEVNULL)
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
        process = subprocess.Popen([*self.command, place, *map(str, args)], env=environment,
                                   **popen)
        process.script = place
        return process


LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


# ---- finding


def is_elf(path):
    """Wrapper scripts (pyenv's shims, say) are left out: what they would run is found itself."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def local_candidates():
    """Paths of interpreters on this machine, the distribution's own first."""
    names = [f"python3.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]
    folders = ["/usr/bin", *os.environ.get("PATH", "").split(":"), "/usr/local/bin"]
    for pattern in ("~/.pyenv/versions/*/bin", "/opt/python*/bin"):
        folders += sorted(glob.glob(os.path.expanduser(pattern)))
    yield "/usr/bin/python3"
    for folder in dict.fromkeys(filter(None, folders)):
        for name in names:
            path = os.path.join(folder, name)
            if is_elf(path):
                yield path


def fetched_candidates():
    """(suite, root, path inside) of the unpacked interpreters."""
    if os.geteuid() != 0:
        return
    for suite in SUITES:
        root = HOME / suite / "root"
        for path in sorted(root.glob("usr/bin/python3.*")):
            if re.fullmatch(r"python3\.\d+t?", path.name):
                yield suite, str(root), "/usr/bin/" + path.name


def probe(words, key, cache):
    """What the interpreter says about itself, from the cache while its file is the same."""
    if key not in cache:
        answer = subprocess.run([*words, "-S", "-E", "-c", PROBE], stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=60, check=False)
        cache[key] = json.loads(answer.stdout) if answer.returncode == 0 else None
    return cache[key]


def file_key(path):
    info = os.stat(path)
    return f"{path}:{info.st_mtime_ns}:{info.st_size}"


@contextlib.contextmanager
def probe_cache():
    path = HOME / "list.json"
    try:
        cache = json.loads(path.read_text())
    except (OSError, ValueError):
        cache = {}
    before = dict(cache)
    yield cache
    if cache == before:
        return
    # A tree of another user's is not ours to write to: then everything is asked each time.
    with contextlib.suppress(OSError):
        HOME.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps(cache, indent=1))
        new.replace(path)


def interpreters(free_threaded=False):
    """Every usable interpreter, each (minor, micro) once, oldest first.

    Free-threaded builds come only when asked for, and then beside the normal ones.
    """
    found = {}
    with probe_cache() as cache:
        candidates = [(None, None, path) for path in local_candidates()]
        for suite, root, path in candidates + list(fetched_candidates()):
            real = os.path.realpath((root or "") + path)
            if not os.path.exists(real):
                continue
            words = ["chroot", root, path] if root else [path]
            about = probe(words, file_key(real), cache)
            if not about or about["implementation"] != "cpython":
                continue
            version = tuple(about["version"])
            if not OLDEST <= version[:2] <= NEWEST:
                continue
            text = ".".join(map(str, version)) + ("t" if about["free_threaded"] else "")
            if about["free_threaded"] and not free_threaded:
                continue
            label = f"{suite}-{text}" if suite else text
            found.setdefault(text, Interpreter(label, version, path if root else real, root,
                                               about["free_threaded"]))
    return sorted(found.values(), key=lambda python: (python.version, python.free_threaded))


# ---- fetching


def debian_mirror():
    """The URI of the entry that serves the main Debian archive, as apt itself understands it."""
    fields = "$(RELEASE)|$(COMPONENT)|$(ORIGIN)|$(REPO_URI)"
    answer = subprocess.run(["apt-get", "indextargets", "--format", fields,
                             "Created-By: Packages"],
                            capture_output=True, text=True, check=False)
    codename = re.search(r"^VERSION_CODENAME=(\S+)", pathlib.Path("/etc/os-release").read_text(),
                         re.M)
    codename = codename.group(1) if codename else "stable"
    best = None
    for line in answer.stdout.splitlines():
        release, component, origin, uri = line.split("|", 3)
        if release not in (codename, "stable", "testing", "unstable", *SUITES):
            continue
        if component != "main" or "security" in uri:
            continue
        # Without downloaded lists apt does not know the origin; the folder's name says it then.
        rank = (origin == "Debian") * 2 + uri.rstrip("/").endswith("/debian")
        if rank and (best is None or rank > best[0]):
            best = (rank, uri)
    return best[1] if best else None


def apt_config(suite, mirror):
    """A configuration that shares nothing with the machine's apt; the path of its file."""
    base = HOME / "apt" / suite
    for folder in ("lists/partial", "cache/archives/partial", "parts"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    (base / "status").write_text("")
    signed = f"[signed-by={KEYRING}] " if os.path.exists(KEYRING) else ""
    (base / "sources.list").write_text(f"deb {signed}{mirror} {suite} main\n")
    config = base / "apt.conf"
    config.write_text(f"""
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
#clear Acquire::IndexTargets::deb::DEP-11;
#clear APT::Default-Release;
Dir::State "{base}";
Dir::State::status "{base}/status";
Dir::State::lists "{base}/lists";
Dir::State::extended_states "{base}/extended_states";
Dir::Cache "{base}/cache";
Dir::Etc::sourcelist "{base}/sources.list";
Dir::Etc::sourceparts "{base}/parts";
Dir::Etc::preferences "{base}/preferences";
Dir::Etc::preferencesparts "{base}/parts";
APT::Sandbox::User "root";
APT::Install-Recommends "0";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
""")
    return str(config)


def apt(config, tool, *words):
    return subprocess.run([tool, "-c", config, "-q", "-y", *words], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False)


def packages_of(version):
    return [f"python{version}-minimal", f"libpython{version}-stdlib"]


def unpack(archives, root):
    """Unpack packages below a root as dpkg would, without their scripts."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("dev", "proc", "tmp"):
        (root / name).mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for archive in archives:
        subprocess.run(["dpkg-deb", "-x", str(archive), str(root)], check=True)
    # Without CAP_MKNOD the programs do without.
    with contextlib.suppress(OSError):
        os.mknod(root / "dev" / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        (root / "dev" / "null").chmod(0o666)


def fetch_suite(suite, mirror):
    """Unpack the suite's interpreters; a line for the user."""
    home = HOME / suite
    done = home / "complete"
    if done.exists():
        return f"{suite}: {done.read_text().strip()} (cached)"
    config = apt_config(suite, mirror)
    update = apt(config, "apt-get", "update")
    versions = [version for version in SUITES[suite]
                if apt(config, "apt-get", "-s", "-d", "install",
                       *packages_of(version)).returncode == 0]
    if not versions:
        reason = (update.stderr.strip().splitlines() or ["no python package there"])[0]
        return f"skipped: {suite} cannot be reached: {reason}"
    wanted = [package for version in versions for package in packages_of(version)]
    install = apt(config, "apt-get", "-d", "install", *wanted)
    if install.returncode != 0:
        return f"skipped: {suite}: {install.stderr.strip()}"

    home.mkdir(parents=True, exist_ok=True)
    new = pathlib.Path(tempfile.mkdtemp(prefix="root.", dir=home))
    new.chmod(0o755)
    archives = HOME / "apt" / suite / "cache" / "archives"
    unpack(sorted(archives.glob("*.deb")), new)
    shutil.rmtree(home / "root", ignore_errors=True)
    new.rename(home / "root")
    missing = ", ".join(version for version in SUITES[suite] if version not in versions)
    done.write_text(", ".join(versions) + (f" (not there: {missing})" if missing else ""))
    shutil.rmtree(HOME / "apt" / suite)
    return f"{suite}: {done.read_text()}"


def fetch():
    """Fetch all suites; never fails for want of a network. Lines for the user."""
    if os.geteuid() != 0:
        return ["skipped: unpacked interpreters run through chroot, which needs root"]
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return ["skipped: no apt here"]
    mirror = debian_mirror()
    if not mirror:
        return ["skipped: the apt configuration names no mirror of Debian's main archive"]
    HOME.mkdir(parents=True, exist_ok=True)
    with open(HOME / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return [fetch_suite(suite, mirror) for suite in SUITES]


def main(words):
    if words == ["list"]:
        for python in interpreters():
            print(python.label, python.version_text, json.dumps(python.command), sep="\t")
        return 0
    if words == ["fetch"]:
        print("\n".join(fetch()))
        return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
