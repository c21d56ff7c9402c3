package processes

import "os"

// readLeftover reads nothing: pipes have no deadlines here, so they are read to
// their end.
func readLeftover(*os.File, []byte) (int, error) { return 0, errEmpty }
