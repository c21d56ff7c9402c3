// Tones finds the musical note of each recording, with numpy, in as many Python
// interpreters as there are processors:
//
//	go run ./examples/tones                 300 recordings that it creates itself
//	go run ./examples/tones *.wav           your recordings
//	go run ./examples/tones -python ./venv  with the interpreter of a virtual environment
//
// It needs Python with numpy (Debian: apt install python3-numpy). For a
// recording that cannot be read, it prints the name and Python's error instead
// of a note.
//
// Exit codes: 0 if all notes were found, 1 if some were not, 2 if the program
// cannot work.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"concert"
	"concert/progress"
	"concert/python"
)

//go:embed tones.py
var source string

// tone is the function tone of tones.py.
var tone = python.Source[string, sound]("tone", source)

type sound struct{ Hertz, Seconds float64 }

func main() {
	interpreter := flag.String("python", "", "interpreter, or directory of a virtual environment (default: python3)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code, err := run(ctx, *interpreter, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "tones:", err)
	}
	os.Exit(code)
}

// run prints the note of each recording, and returns the exit code.
func run(ctx context.Context, interpreter string, recordings []string) (code int, err error) {
	own := len(recordings) == 0
	if own {
		dir, err := os.MkdirTemp("", "recordings-")
		if err != nil {
			return 2, err
		}
		defer os.RemoveAll(dir)
		if recordings, err = record(dir, 300); err != nil {
			return 2, err
		}
	}
	display := progress.New(os.Stderr, &progress.Options{Total: len(recordings), Noun: "recordings"})
	ex, err := python.New(0, &python.Options{
		Observer:    display.Observe,
		Interpreter: interpreter,
		Import:      []string{"numpy"},
	})
	if errors.Is(err, python.Type("ModuleNotFoundError")) {
		return 2, fmt.Errorf("%w\ninstall it (Debian: apt install python3-numpy), or use -python to name an interpreter that has it", err)
	}
	if err != nil {
		return 2, err
	}
	defer display.Close() // Close prints the totals, so it runs after the Map
	defer ex.Close()

	heard := map[string]int{}
	i := 0
	for s, err := range concert.Map(ctx, ex, tone, slices.Values(recordings)) {
		name := filepath.Base(recordings[i])
		i++
		switch {
		case ctx.Err() != nil:
			return 1, context.Cause(ctx)
		case err != nil:
			code = 1
			fmt.Printf("%-24s %v\n", name, err)
		case own:
			heard[note(s.Hertz)]++
		default:
			fmt.Printf("%-24s %7.1f Hz  %-3s  %.1f s\n", name, s.Hertz, note(s.Hertz), s.Seconds)
		}
	}
	if own {
		for _, name := range scale() {
			fmt.Printf("%-3s %3d %s\n", name, heard[name], strings.Repeat("*", heard[name]))
		}
		return 0, nil // two of the recordings are meant to fail
	}
	return code, nil
}

var notes = []string{"C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"}

// note returns the name of the note that is nearest to a frequency, on a piano
// whose A4 has 440 Hz.
func note(hertz float64) string {
	key := int(math.Round(12*math.Log2(hertz/440))) + 57 // the number of the key, from C0 up
	return fmt.Sprint(notes[((key%12)+12)%12], int(math.Floor(float64(key)/12)))
}
