//go:build race

package concert_test

const raceEnabled = true
