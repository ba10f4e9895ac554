package fleet

// What the reference simulation, a Python program, printed: for each play at intervals of 1, 5 and 15 s; for
// each window of the loop at intervals of 1, 5, 10, 15, 30 and 60 s.
var rolloutPlays = [][]string{
	{"plain 1.00 1.30 9 | rule 1.00 1.30 5", "plain 1.00 1.90 25 | rule 1.00 1.40 14", "plain 1.00 2.00 51 | rule 1.00 1.70 29"},
	{"plain 1.00 1.10 18 | rule 1.00 1.10 8", "plain 1.00 1.20 92 | rule 1.00 1.10 24", "plain 1.00 1.40 125 | rule 1.00 1.20 74"},
	{"plain 0.50 1.00 0 | rule 1.00 1.00 0", "plain 0.50 1.00 0 | rule 1.00 1.00 0", "plain 0.85 1.00 0 | rule 1.00 1.00 0"},
	{"plain 0.10 1.00 0 | rule 1.00 1.00 0", "plain 0.10 1.00 0 | rule 0.95 1.00 0", "plain 0.10 1.00 0 | rule 0.90 1.00 0"},
	{"plain 1.00 1.10 2 | rule 1.00 1.25 83", "plain 1.00 1.11 32 | rule 1.00 1.29 105", "plain 1.00 1.35 148 | rule 1.00 1.39 134"},
	{"plain 1.00 1.74 1 | rule 1.00 1.76 1", "plain 1.00 1.96 5 | rule 1.00 1.97 5", "plain 1.00 1.98 14 | rule 1.00 1.99 14"},
	{"plain 1.00 1.01 0 | rule 1.00 1.01 0", "plain 1.00 1.04 0 | rule 1.00 1.02 0", "plain 1.00 1.08 94 | rule 1.00 1.03 0"},
}

var rolloutLoops = [][]string{
	{"0 5.00 0 5.00 ", "0 5.00 0 5.00 ", "18 6.91 0 5.00 ", "17 6.91 0 5.03 ", "16 5.93 0 5.00 ", "13 5.90 0 5.00 "},
	{"0 5.00 0 5.00 ", "0 5.00 0 5.00 ", "200 6.00 0 5.00 ", "133 6.33 0 5.00 ", "72 5.67 0 5.00 ", "38 5.69 0 5.00 "},
}

// The same with --jitter 0.1 --missed 0.02.
var jitterPlays = [][]string{
	{"plain 1.00 1.30 9 | rule 1.00 1.30 5", "plain 1.00 1.90 25 | rule 0.90 1.40 16", "plain 1.00 2.00 52 | rule 0.90 1.80 30"},
	{"plain 0.90 1.10 19 | rule 1.00 1.10 9", "plain 1.00 1.20 94 | rule 0.90 1.10 26", "plain 1.00 1.50 131 | rule 1.00 1.30 70"},
	{"plain 0.50 1.00 0 | rule 0.95 1.00 0", "plain 0.50 1.00 0 | rule 0.95 1.00 0", "plain 0.80 1.00 0 | rule 0.95 1.00 0"},
	{"plain 0.10 1.00 0 | rule 0.95 1.00 0", "plain 0.10 1.00 0 | rule 0.95 1.00 0", "plain 0.10 1.00 0 | rule 0.85 1.00 0"},
	{"plain 0.89 1.10 2 | rule 0.89 1.26 84", "plain 1.00 1.12 31 | rule 0.89 1.29 102", "plain 1.00 1.36 156 | rule 0.89 1.44 141"},
	{"plain 0.99 1.68 1 | rule 1.00 1.71 1", "plain 0.99 1.93 4 | rule 0.98 1.95 5", "plain 0.99 2.00 16 | rule 0.98 1.99 19"},
	{"plain 0.99 1.01 0 | rule 1.00 1.01 0", "plain 1.00 1.03 0 | rule 0.98 1.01 0", "plain 1.00 1.08 78 | rule 0.97 1.03 0"},
}

var jitterLoops = [][]string{
	{"0 5.00 0 5.00 ", "0 5.00 0 5.00 ", "18 6.91 0 5.00 ", "16 6.11 0 5.00 ", "16 5.93 0 5.00 ", "13 5.90 1 5.09 "},
	{"0 5.00 0 5.00 ", "0 5.00 2 5.00 ", "196 5.52 2 5.00 ", "135 5.66 1 5.00 ", "73 5.67 0 5.00 ", "38 5.69 15 5.12 "},
}
