// log - reads a log of recordings with the Go project's own packages for transparency logs (golang.org/x/mod/sumdb), which know nothing
// of bastiond: the signed note, the Merkle tree, the tiles.
//
//	log DIR VKEY          every leaf is in the tree of DIR/checkpoint, which VKEY signed; every DIR/checkpoint.SIZE is of a tree that it goes on
//	log LEAF PROOF VKEY   that leaf is in the tree of the checkpoint in that c2sp.org/tlog-proof
//
// Compiled by tests/system/test_public_tools.py.
package main

import (
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

// tiles are the files of c2sp.org/tlog-tiles: the paths of sumdb without the height.
type tiles struct{ dir string }

func (t tiles) Height() int                      { return height }
func (t tiles) SaveTiles([]tlog.Tile, [][]byte)  {}
func (t tiles) path(of tlog.Tile, what string) string {
	return filepath.Join(t.dir, strings.Replace(of.Path(), "tile/8/"+what, "tile/"+what, 1))
}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, one := range wanted {
		data, err := os.ReadFile(t.path(one, ""))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

// open is the tree of a signed checkpoint.
func open(text []byte, vkey string) tlog.Tree {
	verifier, err := note.NewVerifier(strings.TrimSpace(vkey))
	check(err)
	n, err := note.Open(text, note.VerifierList(verifier))
	check(err)
	lines := strings.Split(n.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		log.Fatalf("a checkpoint of %q, with a key of %q", lines[0], verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	hash, err := tlog.ParseHash(lines[2])
	check(err)
	return tlog.Tree{N: size, Hash: hash}
}

// leaves are those of the entry bundles.
func leaves(t tiles, size int64) [][]byte {
	var found [][]byte
	for at := int64(0); at < size; at += 1 << height {
		width := size - at
		if width > 1<<height {
			width = 1 << height
		}
		name := tlog.Tile{H: height, L: -1, N: at >> height, W: int(width)}
		data, err := os.ReadFile(strings.Replace(t.path(name, ""), "/data/", "/entries/", 1))
		check(err)
		for i := int64(0); i < width; i++ {
			length := int(binary.BigEndian.Uint16(data))
			found = append(found, data[2:2+length])
			data = data[2+length:]
		}
	}
	return found
}

func read(name string) []byte {
	data, err := os.ReadFile(name)
	check(err)
	return data
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func whole(dir, vkey string) {
	files := tiles{dir}
	tree := open(read(filepath.Join(dir, "checkpoint")), vkey)
	hashes := tlog.TileHashReader(tree, files)
	all := leaves(files, tree.N)
	for i, leaf := range all {
		proof, err := tlog.ProveRecord(tree.N, int64(i), hashes)
		check(err)
		check(tlog.CheckRecord(proof, tree.N, tree.Hash, int64(i), tlog.RecordHash(leaf)))
	}
	kept, err := filepath.Glob(filepath.Join(dir, "checkpoint.*[0-9]"))
	check(err)
	for _, name := range kept {
		old := open(read(name), vkey)
		if old.N == 0 {
			continue
		}
		proof, err := tlog.ProveTree(tree.N, old.N, hashes)
		check(err)
		check(tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash))
	}
	fmt.Printf("%d leaves, %d older checkpoints\n", len(all), len(kept))
}

func single(leaf, proof, vkey string) {
	parts := strings.SplitN(string(read(proof)), "\n\n", 2)
	lines := strings.Split(parts[0], "\n")
	if len(parts) != 2 || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "index ") {
		log.Fatal("no proof")
	}
	index, err := strconv.ParseInt(lines[1][6:], 10, 64)
	check(err)
	var path tlog.RecordProof
	for _, line := range lines[2:] {
		hash, err := tlog.ParseHash(line)
		check(err)
		path = append(path, hash)
	}
	tree := open([]byte(parts[1]), vkey)
	check(tlog.CheckRecord(path, tree.N, tree.Hash, index, tlog.RecordHash(read(leaf))))
	fmt.Printf("leaf %d of %d\n", index, tree.N)
}

func main() {
	log.SetFlags(0)
	switch len(os.Args) {
	case 3:
		whole(os.Args[1], string(read(os.Args[2])))
	case 4:
		single(os.Args[1], os.Args[2], string(read(os.Args[3])))
	default:
		log.Fatal("usage: log DIR VKEY | log LEAF PROOF VKEY")
	}
}
