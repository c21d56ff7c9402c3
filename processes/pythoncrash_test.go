package processes

import "testing"

// TestPythonCrash: pythonCrash must find the Python function and the line of a
// crash in the output of faulthandler.
func TestPythonCrash(t *testing.T) {
	const worker = "  File \"<concert.functions>\", line 120 in one\n  File \"<concert.worker>\", line 300 in call\n  File \"<string>\", line 20 in start\n"
	for what, c := range map[string]struct{ stderr, want string }{
		"nothing":       {"", ""},
		"other words":   {"something\n  File \"a.py\", line 1 in f\n", ""},
		"signal":        {"Fatal Python error: Segmentation fault\n\nStack (most recent call first):\n  File \"/x/mod.py\", line 12 in f\n" + worker, "in f (mod.py:12)"},
		"of all":        {"Fatal Python error: Aborted\n\nCurrent thread 0x1 (most recent call first):\n  File \"/x/mod.py\", line 12 in f\n\nThread 0x2 (most recent call first):\n  File \"/x/b.py\", line 3 in g\n", "in f (mod.py:12)"},
		"in a call":     {"Fatal Python error: Segmentation fault\n\nStack (most recent call first):\n  File \"/usr/lib/python3.11/ctypes/__init__.py\", line 519 in string_at\n  File \"/x/mod.py\", line 12 in f\n" + worker, "in f (mod.py:12), calling string_at (__init__.py:519)"},
		"Python's own":  {"Fatal Python error: Segmentation fault\n\nStack (most recent call first):\n  File \"/usr/lib/python3.11/json/decoder.py\", line 5 in decode\n" + worker, "in decode (decoder.py:5)"},
		"a package":     {"Fatal Python error: Bus error\n\nStack (most recent call first):\n  File \"/v/lib/python3.8/site-packages/np/core.py\", line 7 in dot\n  File \"/x/mod.py\", line 12 in f\n" + worker, "in dot (core.py:7)"},
		"source":        {"Fatal Python error: Segmentation fault\n\nStack (most recent call first):\n  File \"<source_789aa463>\", line 9 in f\n" + worker, "in f (<source_789aa463>:9)"},
		"other reason":  {"Fatal Python error: deallocating None\n\nStack (most recent call first):\n  File \"/x/mod.py\", line 12 in f\n" + worker, "in f (mod.py:12): deallocating None"},
		"no Python":     {"Fatal Python error: Segmentation fault\n\nStack (most recent call first):\n  <no Python frame>\n", ""},
		"worker's only": {"Fatal Python error: Segmentation fault\n\nStack (most recent call first):\n" + worker, ""},
	} {
		t.Run(what, func(t *testing.T) {
			if got := pythonCrash(c.stderr); got != c.want {
				t.Errorf("pythonCrash() = %q, want %q", got, c.want)
			}
		})
	}
}
