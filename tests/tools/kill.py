"""Starts a command again and again, killing it with -9, after shares of the time that it takes on this machine."""
import signal
import subprocess
import time

from fixture import THIMBLE, run


def timed(*arguments):
    """Runs thimble; the finished process and the seconds it took."""
    begin = time.monotonic()
    done = run(*arguments)
    return done, time.monotonic() - begin


def kill_until_done(arguments, generator, shortest, longest, result=None):
    """Starts the command again and again, killing it after a random time, until it ends by itself or `result` is there, which
    appears whole: the last kill then came between the work's end and the process's. Returns the kills."""
    kills = 0
    while True:
        process = subprocess.Popen([THIMBLE, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            # Ever longer, so that it ends even on a slow machine where one step takes longer than the first kills allow.
            process.wait(timeout=generator.uniform(shortest, longest) * (1 + kills / 10))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stderr.close()
            kills += 1
            if result is not None and result.exists():
                return kills
            continue
        error = process.stderr.read().decode()
        process.stderr.close()
        if process.returncode != 0:
            raise AssertionError(f"exit {process.returncode} after {kills} kills\n{error}")
        return kills
