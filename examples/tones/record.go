package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
)

const rate = 22050 // the number of samples in a second

// scale lists the notes that are recorded: an octave from C4 to B4.
func scale() (names []string) {
	for key := range notes {
		names = append(names, note(pitch(key)))
	}
	return names
}

// pitch returns the frequency of a key. Keys are numbered from C4 up.
func pitch(key int) float64 { return 440 * math.Pow(2, float64(key-9)/12) }

// record writes n files with recordings of notes, with overtones and noise. It
// also writes two files without a note: silence, and a text.
func record(dir string, n int) (paths []string, err error) {
	random := rand.New(rand.NewPCG(1, 2))
	write := func(name string, data []byte) {
		path := filepath.Join(dir, name)
		if err == nil {
			err = os.WriteFile(path, data, 0o666)
		}
		paths = append(paths, path)
	}
	for i := range n {
		samples := make([]int16, rate)
		hertz := pitch(i * 7 % 12)
		for j := range samples {
			x := 2 * math.Pi * hertz * float64(j) / rate
			v := math.Sin(x) + 0.5*math.Sin(2*x) + 0.25*math.Sin(3*x) + 0.4*random.NormFloat64()
			samples[j] = int16(8000 * math.Max(-4, math.Min(4, v)))
		}
		write(fmt.Sprintf("note%03d.wav", i), wav(samples))
	}
	write("silence.wav", wav(make([]int16, rate)))
	write("text.wav", []byte("This is no recording."))
	return paths, err
}

// wav returns the contents of a WAV file with samples of one channel (RIFF, 16
// bits, PCM).
func wav(samples []int16) []byte {
	size := uint32(2 * len(samples))
	var b bytes.Buffer
	b.WriteString("RIFF")
	binary.Write(&b, binary.LittleEndian, 36+size)
	b.WriteString("WAVEfmt ")
	binary.Write(&b, binary.LittleEndian, struct {
		Size                    uint32
		Format, Channels        uint16
		Rate, BytesPerSecond    uint32
		BytesPerFrame, BitDepth uint16
	}{16, 1, 1, rate, 2 * rate, 2, 16})
	b.WriteString("data")
	binary.Write(&b, binary.LittleEndian, size)
	binary.Write(&b, binary.LittleEndian, samples)
	return b.Bytes()
}
