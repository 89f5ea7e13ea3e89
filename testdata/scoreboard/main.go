// Command scoreboard tells how often culprit is right: it judges every recorded
// run of the lab again, with all of its evidence and with a witness missing,
// and writes accuracy, false causes, error of the predicted gain and the
// reliability of the score as Markdown, with simple rankers beside it. It
// measures nothing live; the lab does, and leaves the runs.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	runs := flag.String("runs", "testdata/scenarios", "folder of recorded runs: SCENARIO/*.culprit, or SCENARIO+HANDICAP/*.culprit")
	scenarios := flag.String("scenarios", "testdata/lab/scenarios", "folder of the planted faults")
	out := flag.String("o", "", "file to write; default: the terminal")
	flag.Parse()
	if err := write(*runs, *scenarios, *out); err != nil {
		fmt.Fprintln(os.Stderr, "scoreboard:", err)
		os.Exit(1)
	}
}

func write(runs, scenarios, path string) error {
	board, err := score(runs, scenarios)
	if err != nil {
		return err
	}
	if path == "" {
		return board.markdown(os.Stdout)
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := board.markdown(file); err != nil {
		return err
	}
	return file.Close()
}

// score judges every run under every handicap.
func score(runsDir, scenariosDir string) (*scoreboard, error) {
	runs, err := readRuns(runsDir, scenariosDir)
	if err != nil {
		return nil, err
	}
	court, err := newCourt(runs)
	if err != nil {
		return nil, err
	}
	board := &scoreboard{}
	for _, r := range runs {
		for _, h := range handicapsOf(r) {
			o, err := court.judge(r, h)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.path, err)
			}
			board.outcomes = append(board.outcomes, o)
		}
	}
	return board, nil
}

// printer keeps the first error of many prints.
type printer struct {
	to  io.Writer
	err error
}

func (p *printer) f(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.to, format, args...)
	}
}
