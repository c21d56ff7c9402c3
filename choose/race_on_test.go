//go:build race

package choose_test

const raceEnabled = true
