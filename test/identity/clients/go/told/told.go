// Package told lets whoever started a client say when to go on, and reads what it says: one JSON
// object a line. A client asks nothing before it was told to, and is attested by then.
package told

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

var input = bufio.NewScanner(os.Stdin)

// Wait returns at the next line on standard input.
func Wait() { input.Scan() }

// Say writes one line.
func Say(value any) {
	if err := json.NewEncoder(os.Stdout).Encode(value); err != nil {
		panic(err)
	}
}

// End says the result, or fails with why there is none.
func End(result map[string]any, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	Say(result)
}
