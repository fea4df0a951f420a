from programs.schedule import Job, schedule


def _jobs(names, pairs):
    jobs = {name: Job(name) for name in names}
    for first, second in pairs:
        jobs[first].after.append(jobs[second])
        jobs[second].before.append(jobs[first])
    return list(jobs.values())


def _names(jobs):
    return "".join(job.name for job in schedule(jobs))


def test_nothing():
    assert _names([]) == ""


def test_a_chain():
    assert _names(_jobs("cba", ["ab", "bc"])) == "abc"


def test_a_diamond():
    assert _names(_jobs("abcd", ["ab", "ac", "bd", "cd"])) == "abcd"


def test_two_beginnings():
    assert _names(_jobs("abcde", ["ac", "bc", "cd", "ae"])) == "abced" or _names(
        _jobs("abcde", ["ac", "bc", "cd", "ae"])
    ) == "abecd"


def test_no_needs():
    assert _names(_jobs("xyz", [])) == "xyz"
