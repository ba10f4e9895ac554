package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var taken = time.UnixMilli(1_700_000_000_123)

type block struct {
	kind byte
	text string
}

var some = []block{{1, "a"}, {2, ""}, {255, string(bytes.Repeat([]byte("long"), 100_000))}}

func write(t testing.TB, path string, blocks []block) (size int64) {
	t.Helper()
	size, err := Write(path, taken, 1<<20, func(put Put) error {
		for _, b := range blocks {
			if err := put(b.kind, []byte(b.text)); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, err)
	return size
}

func read(path string, most int64) (blocks []block, err error) {
	r, err := Open(path, most)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for {
		kind, b, err := r.Next()
		if errors.Is(err, io.EOF) {
			return blocks, nil
		}
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, block{kind, string(b)})
	}
}

func TestWhatWasWrittenIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	for _, blocks := range [][]block{some, nil, some[:1]} {
		size := write(t, path, blocks)
		got, err := read(path, size)
		require.NoError(t, err)
		require.Equal(t, blocks, got)
		r, err := Open(path, size)
		require.NoError(t, err)
		require.True(t, taken.Equal(r.Taken))
		require.Equal(t, size, r.Size)
		require.NoError(t, r.Close())
	}
	requireAlone(t, path)
}

// requireAlone: nothing else is left in the directory.
func requireAlone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

// TestFailedWriteLeavesTheFileBefore, whatever fails.
func TestFailedWriteLeavesTheFileBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	size := write(t, path, some)
	broken := errors.New("broken")
	_, err := Write(path, taken, 1<<20, func(put Put) error {
		require.NoError(t, put(1, make([]byte, 200_000)))
		return broken
	})
	require.ErrorIs(t, err, broken)
	_, err = Write(path, taken, size, func(put Put) error { return put(1, make([]byte, size)) })
	require.ErrorIs(t, err, ErrTooLarge)
	got, err := read(path, size)
	require.NoError(t, err)
	require.Equal(t, some, got)
	requireAlone(t, path)
	_, err = Write(filepath.Join(path, "in a file"), taken, size, func(Put) error { return nil })
	require.Error(t, err)
}

// TestDamageIsFound: every byte counts, and so does every length.
func TestDamageIsFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	write(t, path, []block{{1, "some"}, {2, ""}})
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	try := func(b []byte) error {
		require.NoError(t, os.WriteFile(path, b, 0o600))
		_, err := read(path, 1<<20)
		return err
	}
	require.NoError(t, try(whole))
	for i := range whole {
		for _, bit := range []byte{1, 128} {
			changed := bytes.Clone(whole)
			changed[i] ^= bit
			err := try(changed)
			if i >= len(magic) && i < len(magic)+4 {
				require.ErrorIs(t, err, ErrVersion)
			} else {
				require.ErrorIs(t, err, ErrDamaged, "byte %d", i)
			}
		}
		require.ErrorIs(t, try(whole[:i]), ErrDamaged, "cut off at %d", i)
	}
	require.ErrorIs(t, try(append(bytes.Clone(whole), 0)), ErrDamaged)
	_, err = read(path, int64(len(whole)))
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = read(filepath.Dir(path), 1<<20)
	require.ErrorIs(t, err, ErrDamaged, "a directory")
	_, err = read(path+"s", 1<<20)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestMissingBlockIsFound: a file whose blocks are all right, but one is not there.
func TestMissingBlockIsFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	write(t, path, some[:2])
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	first := headerSize + prefixSize + 1
	require.NoError(t, os.WriteFile(path, append(whole[:headerSize:headerSize], whole[first:]...), 0o600))
	_, err = read(path, 1<<20)
	require.ErrorIs(t, err, ErrDamaged)
}

// FuzzRead: whatever the file, what is read is what its checksums vouch for, and
// takes no more room than the file has.
func FuzzRead(f *testing.F) {
	path := filepath.Join(f.TempDir(), "snapshot")
	write(f, path, some[:2])
	whole, err := os.ReadFile(path)
	require.NoError(f, err)
	for _, mended := range []bool{false, true} { // whether every block's checksum is right
		f.Add(whole, mended)
		f.Add(whole[:40], mended)
	}
	huge := append(bytes.Clone(whole[:headerSize]), 1)
	huge = binary.LittleEndian.AppendUint32(huge, 1<<31)
	f.Add(append(huge, 0, 0, 0, 0), false)
	f.Fuzz(func(t *testing.T, b []byte, mended bool) {
		if sum := headerSize - 4; len(b) > headerSize { // or it is all there is to find
			copy(b, magic)
			binary.LittleEndian.PutUint32(b[len(magic):], version)
			binary.LittleEndian.PutUint32(b[sum:], crc32.Checksum(b[:sum], castagnoli))
		}
		for at := headerSize; mended && at+prefixSize <= len(b); {
			prefix, rest := b[at:at+prefixSize], b[at+prefixSize:]
			n := min(uint64(binary.LittleEndian.Uint32(prefix[1:])), uint64(len(rest)))
			binary.LittleEndian.PutUint32(prefix[5:], checksum(prefix[:5], rest[:n]))
			at += prefixSize + int(n)
		}
		path := filepath.Join(t.TempDir(), "snapshot")
		require.NoError(t, os.WriteFile(path, b, 0o600))
		r, err := Open(path, int64(len(b)))
		if err != nil {
			return
		}
		defer r.Close()
		for err == nil {
			_, _, err = r.Next()
			require.LessOrEqual(t, cap(r.block), max(len(b), headerSize))
		}
		require.NotEmpty(t, fmt.Sprint(err))
	})
}
