# SPDX-License-Identifier: MIT
# Reads bench/rows, then the samples, and prints the table: one line for each target and for each run that no target
# names. -v format=text|markdown, repetitions, machine, date, only.

function trim(text) { gsub(/^ +| +$/, "", text); return text }

function rest(text) { sub(/^[a-z]+ +/, "", text); return trim(text) }

# The median of the numbers in `list`, separated by spaces.
function median(list,    count, values, i, j, value) {
    count = split(list, values, " ")
    for (i = 2; i <= count; i++) {
        value = values[i] + 0
        for (j = i - 1; j >= 1 && values[j] + 0 > value; j--)
            values[j + 1] = values[j]
        values[j + 1] = value
    }
    return count % 2 ? values[(count + 1) / 2] + 0 : (values[count / 2] + values[count / 2 + 1]) / 2
}

function show(value) {
    if (value >= 1e6)
        return sprintf("%.2f M", value / 1e6)
    if (value >= 1e4)
        return sprintf("%.1f k", value / 1e3)
    if (value >= 100)
        return sprintf("%.0f", value)
    return sprintf(value >= 10 ? "%.1f" : value >= 0.1 ? "%.2f" : "%.3f", value)
}

# The run that `name` means: itself, or the best of those it is a prefix of. Empty where none was measured.
function resolve(id, name,    i, prefix, best) {
    if (name !~ /\*$/)
        return (id, name) in samples ? name : ""
    prefix = substr(name, 1, length(name) - 1)
    best = ""
    for (i = 1; i <= runs[id]; i++)
        if (index(run[id, i], prefix) == 1 && (id, run[id, i]) in samples)
            if (best == "" || (median(samples[id, run[id, i]]) > median(samples[id, best])) == (better[id] == "higher"))
                best = run[id, i]
    return best
}

function cell(id, name) { return (id, name) in samples ? name " " show(median(samples[id, name])) : name " -" }

function line(id, ours, other, ratio, target, met) {
    lines++
    table[lines, 1] = id == last ? "" : title[id] ", " unit[id]
    table[lines, 2] = ours
    table[lines, 3] = other
    table[lines, 4] = ratio
    table[lines, 5] = target
    table[lines, 6] = met
    last = id
}

function judge(id, i,    ours, other, factor, bound, ratio, met, target) {
    ours = goal[id, i, "ours"]
    factor = goal[id, i, "factor"]
    bound = goal[id, i, "other"] == unit[id]
    target = goal[id, i, "sign"] " " factor (bound ? " " unit[id] : " x " goal[id, i, "other"])
    named[id, ours] = 1
    other = bound ? "" : resolve(id, goal[id, i, "other"])
    if (other == "")
        other = goal[id, i, "other"]
    named[id, other] = 1
    if (!((id, ours) in samples) || !(bound || (id, other) in samples)) {
        goals_open++
        line(id, cell(id, ours), bound ? "" : cell(id, other), "", target, "not measured")
        return
    }
    ratio = median(samples[id, ours]) / (bound ? 1 : median(samples[id, other]))
    met = goal[id, i, "sign"] == "<=" ? ratio <= factor + 0 : ratio >= factor + 0
    goals_met += met
    goals_judged++
    met = met ? "yes" : "NO"
    line(id, cell(id, ours), bound ? "" : cell(id, other), bound ? "" : sprintf("%.2f", ratio), target, met)
}

# A run that no target names: ours against the first peer, a peer against the first of ours.
function mention(id, name, is_ours,    ours, other, ratio) {
    ours = is_ours ? name : first[id, "ours"]
    other = is_ours ? first[id, "peer"] : name
    named[id, other] = 1
    ratio = ""
    if ((id, ours) in samples && (id, other) in samples)
        ratio = sprintf("%.2f", median(samples[id, ours]) / median(samples[id, other]))
    line(id, cell(id, ours), other == "" ? "" : cell(id, other), ratio, "", "")
}

function print_table(    i, column, text, head, widths) {
    split("measure|ours|against|ratio|target|met", head, "|")
    for (column = 1; column <= 6; column++) {
        table[0, column] = head[column]
        for (i = 0; i <= lines; i++)
            if (length(table[i, column]) > widths[column])
                widths[column] = length(table[i, column])
    }
    for (i = 0; i <= lines; i++) {
        text = ""
        for (column = 1; column <= 6; column++)
            text = text (format == "markdown" ? "| " : "") sprintf("%-" widths[column] "s", table[i, column]) \
                   (format == "markdown" ? " " : "  ")
        if (format == "markdown")
            text = text "|"
        else
            sub(/ +$/, "", text)
        print text
        if (i == 0 && format == "markdown")
            print "| --- | --- | --- | ---: | --- | --- |"
    }
}

BEGIN { FS = " *[|] *" }

FNR == 1 && NR != 1 { FS = "\t"; $0 = $0; reading_samples = 1 }

!reading_samples && /^measure / {
    id = rest($1)
    if (only == "" || index("," only ",", "," id ",")) {
        order[++measures] = id
        title[id] = $3
        unit[id] = $4
        better[id] = trim($5)
    }
}

!reading_samples && /^(ours|peer) / {
    role = $1
    sub(/ .*/, "", role)
    run[id, ++runs[id]] = rest($1)
    roles[id, runs[id]] = role
    if (first[id, role] == "")
        first[id, role] = rest($1)
}

!reading_samples && /^target / {
    goals[id]++
    goal[id, goals[id], "ours"] = rest($1)
    goal[id, goals[id], "sign"] = $2
    goal[id, goals[id], "factor"] = $3
    goal[id, goals[id], "other"] = trim($4)
}

reading_samples && NF == 3 { samples[$1, $2] = samples[$1, $2] " " $3 }

reading_samples && NF == 4 {
    absent[++absents] = $1 ": " $2 " (" $3 ($4 == "" ? "" : ": " $4) ")"
    if ($3 == "failed")
        failed[$1, $2] = 1
}

END {
    for (m = 1; m <= measures; m++) {
        id = order[m]
        for (i = 1; i <= goals[id]; i++)
            judge(id, i)
        for (i = 1; i <= runs[id]; i++) {
            if (!((id, run[id, i]) in named))
                mention(id, run[id, i], roles[id, i] == "ours")
            if (roles[id, i] == "ours" && (id, run[id, i]) in failed)
                broken++
        }
    }
    print date ", " machine ", medians of " repetitions "."
    print ""
    print_table()
    print ""
    printf "%d of %d targets met", goals_met, goals_judged + goals_open
    printf goals_open ? ", %d not measured." : ".", goals_open
    print absents == 0 ? "" : " Without:"
    for (i = 1; i <= absents; i++)
        print (format == "markdown" ? "- " : "  ") absent[i]
    exit broken > 0
}
