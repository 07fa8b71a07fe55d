"""Medians over rounds, ratios to the better of nginx and HAProxy, as markdown."""
import statistics

RIVALS = ("nginx", "haproxy")


def medians(rounds):
    good = [r for r in rounds if "failed" not in r]
    if not good:
        return None
    keys = [k for k, v in good[0].items() if isinstance(v, (int, float))]
    result = {k: statistics.median(r[k] for r in good if k in r) for k in keys}
    result["errors"] = sum(r.get("errors", 0) for r in good)
    return result


def failures(everything):
    """Whether any measurement failed or met an error."""
    for scenario in everything["scenarios"].values():
        for rounds in scenario["rounds"].values():
            if not rounds or any("failed" in r or r.get("errors") for r in rounds):
                return True
    return False


def one_line(result):
    if "failed" in result:
        return result["failed"]
    parts = []
    if "held" in result:
        parts.append(f"{result['held']} held, {result['bytes_each_pss']:.0f} B each")
    if result.get("requests"):
        parts.append(f"{result['rps']:.0f}/s, p99 {result['p99_us'] / 1000:.2f} ms, "
                     f"{result['cpu_us_per_request']:.2f} us CPU each")
    parts.append(f"{result['errors']} errors")
    return ", ".join(parts)


def ratio(table, name, key):
    """Of one proxy's number to the smallest of the rivals'; empty where there is none."""
    rivals = [row[key] for rival, row in table.items() if rival.startswith(RIVALS) and row and row.get(key)]
    if not rivals or not table.get(name) or key not in table[name]:
        return ""
    return f"{table[name][key] / min(rivals):.2f}"


def millis(micros):
    return f"{micros / 1000:.2f}"


REQUEST_COLUMNS = ["proxy", "requests/s", "p50 ms", "p99 ms", "CPU µs/request", "ratio", "core µs/request",
                   "ratio", "errors"]
HELD_COLUMNS = ["proxy", "held", "B each (PSS)", "ratio", "B each (RSS)", "echoes/s", "p50 ms", "p99 ms",
                "CPU µs/echo", "lost or failed"]


def request_row(name, table):
    row = table[name]
    return [name, f"{row['rps']:.0f}", millis(row["p50_us"]), millis(row["p99_us"]),
            f"{row['cpu_us_per_request']:.2f}", ratio(table, name, "cpu_us_per_request"),
            f"{row['core_us_per_request']:.2f}", ratio(table, name, "core_us_per_request"), f"{row['errors']:.0f}"]


def held_row(name, table):
    row = table[name]
    live = row.get("p99_us", 0) > 0
    return [name, f"{row['held']:.0f}", f"{row['bytes_each_pss']:.0f}", ratio(table, name, "bytes_each_pss"),
            f"{row['bytes_each_rss']:.0f}", f"{row['rps']:.0f}" if live else "", millis(row["p50_us"]) if live else "",
            millis(row["p99_us"]) if live else "", f"{row['cpu_us_per_request']:.1f}" if live else "",
            f"{row['errors']:.0f}"]


def markdown(everything):
    machine, settings = everything["machine"], everything["settings"]
    lines = [f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
             f"Linux {machine['kernel']}, {everything['when']}.",
             "; ".join(f"{name}: {version}" for name, version in everything["versions"].items()) + ".",
             f"{settings['rounds']} interleaved rounds of {settings['seconds']} s, medians; ratios are to the "
             "better of nginx and HAProxy (below 1: Rondo needs less).", ""]
    for scenario in everything["scenarios"].values():
        table = {name: medians(rounds) for name, rounds in scenario["rounds"].items()}
        columns, row = (HELD_COLUMNS, held_row) if scenario["memory"] else (REQUEST_COLUMNS, request_row)
        lines += [f"**{scenario['title']}**", "", "| " + " | ".join(columns) + " |",
                  "| --- |" + " ---: |" * (len(columns) - 1)]
        for name, numbers in table.items():
            cells = row(name, table) if numbers else [name, "failed"] + [""] * (len(columns) - 2)
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)
