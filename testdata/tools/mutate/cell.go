package main

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// cell is one value of a table: its file below the repository, its line and its column, from 0.
type cell struct {
	file         string
	line, column int
	table        []byte // the file as it was
}

// findCells lists the rows of every table; which value of a row changes is chosen later, so that long rows do
// not count more.
func findCells(work string) ([]cell, error) {
	var cells []cell
	for _, top := range []string{"checks", "hook", "oci"} {
		err := filepath.WalkDir(filepath.Join(work, top), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && d.Name() == "testdata" {
				return filepath.SkipDir
			}
			if err != nil || d.IsDir() || filepath.Ext(path) != ".tsv" {
				return err
			}
			rows, err := cellsOf(work, path)
			cells = append(cells, rows...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return cells, nil
}

// cellsOf lists the rows of one table.
func cellsOf(work, path string) ([]cell, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	name, err := filepath.Rel(work, path)
	if err != nil {
		return nil, err
	}
	var cells []cell
	for i, line := range strings.Split(string(text), "\n") {
		if line != "" && !strings.HasPrefix(line, "#") {
			cells = append(cells, cell{file: name, line: i, table: text})
		}
	}
	return cells, nil
}

// pkg is the folder of the package that embeds the table.
func (c *cell) pkg() string {
	dir := filepath.Dir(c.file)
	if filepath.Base(dir) == "data" {
		return filepath.Dir(dir)
	}
	return dir
}

// change writes the table with one other value in the row.
func (c *cell) change(work string, random *rand.Rand) (old, changed string, err error) {
	lines := strings.Split(string(c.table), "\n")
	values := strings.Split(lines[c.line], "\t")
	c.column = random.IntN(len(values))
	old = values[c.column]
	changed = other(old, c.neighbours(lines, len(values)), random)
	values[c.column] = changed
	lines[c.line] = strings.Join(values, "\t")
	return old, changed, os.WriteFile(filepath.Join(work, c.file), []byte(strings.Join(lines, "\n")), 0o644)
}

// neighbours are the values of the same column in other rows.
func (c *cell) neighbours(lines []string, columns int) []string {
	var values []string
	for _, line := range lines {
		if row := strings.Split(line, "\t"); !strings.HasPrefix(line, "#") && len(row) == columns {
			values = append(values, row[c.column])
		}
	}
	return values
}

func (c *cell) restore(work string) error {
	return os.WriteFile(filepath.Join(work, c.file), c.table, 0o644)
}

var number = regexp.MustCompile(`[0-9]+`)

// other returns a value that could stand there too: a number one higher, else what another row has, else a
// letter more.
func other(value string, neighbours []string, random *rand.Rand) string {
	if at := number.FindAllStringIndex(value, -1); at != nil {
		p := at[random.IntN(len(at))]
		if n, err := strconv.Atoi(value[p[0]:p[1]]); err == nil {
			return value[:p[0]] + fmt.Sprintf("%0*d", p[1]-p[0], n+1) + value[p[1]:]
		}
	}
	for _, i := range random.Perm(len(neighbours)) {
		if neighbours[i] != value {
			return neighbours[i]
		}
	}
	return value + "x"
}
