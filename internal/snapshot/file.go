package snapshot

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"time"
)

var (
	// ErrDamaged says that a file is not what was written: cut off, changed, or
	// another program's.
	ErrDamaged = errors.New("damaged snapshot file")
	// ErrVersion says that a file is another version's.
	ErrVersion = errors.New("snapshot file of another version")
	// ErrTooLarge says that a file is, or would be, larger than allowed.
	ErrTooLarge = errors.New("snapshot file is too large")
)

const (
	magic = "keda-otel-scaler snapshot\n"
	// version changes whenever a reader of the one before would misread.
	version = 2

	headerSize = len(magic) + 4 + 8 + 4 // version, taken, checksum
	prefixSize = 1 + 4 + 4              // kind, length, checksum

	// end is the kind of the last block.
	end = 0
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Put adds a block to a file. The kind must not be 0.
type Put func(kind byte, block []byte) error

// Write makes the file of what fill puts into it, at most so many bytes, and
// returns its size. After an error the file is what it was before.
func Write(path string, taken time.Time, most int64, fill func(Put) error) (size int64, err error) {
	temporary := path + ".tmp"                                                  // one name, so that those who died leave one at most
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // the operator's path
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // it may be closed already
			_ = os.Remove(temporary)
		}
	}()
	w := &writer{out: bufio.NewWriterSize(f, 64<<10), most: most}
	if err := w.header(taken); err != nil {
		return 0, err
	}
	if err := fill(w.put); err != nil {
		return 0, err
	}
	if err := w.put(end, binary.LittleEndian.AppendUint64(nil, w.blocks)); err != nil {
		return 0, err
	}
	if err := w.out.Flush(); err != nil {
		return 0, err
	}
	if err := f.Close(); err != nil {
		return 0, err
	}
	return w.size, os.Rename(temporary, path)
}

type writer struct {
	out        *bufio.Writer
	size, most int64
	blocks     uint64
}

func (w *writer) header(taken time.Time) error {
	b := binary.LittleEndian.AppendUint32([]byte(magic), version)
	b = binary.LittleEndian.AppendUint64(b, uint64(taken.UnixMilli())) //nolint:gosec // read back the same way
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	w.size = int64(len(b))
	_, err := w.out.Write(b)
	return err
}

func (w *writer) put(kind byte, block []byte) error {
	if w.size += int64(prefixSize + len(block)); w.size > w.most {
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, w.most)
	}
	b := binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(block))) //nolint:gosec // see most
	b = binary.LittleEndian.AppendUint32(b, checksum(b, block))
	w.blocks++
	if _, err := w.out.Write(b); err != nil {
		return err
	}
	_, err := w.out.Write(block)
	return err
}

func checksum(prefix, block []byte) uint32 {
	return crc32.Update(crc32.Checksum(prefix, castagnoli), castagnoli, block)
}

// Reader reads a file.
type Reader struct {
	Taken time.Time
	Size  int64 // bytes

	f      *os.File
	in     *bufio.Reader
	left   int64 // bytes that were not read yet
	blocks uint64
	block  []byte
}

// Open opens a file of at most so many bytes. The caller must Close it.
func Open(path string, most int64) (*Reader, error) {
	f, err := os.Open(path) //nolint:gosec // the operator's path
	if err != nil {
		return nil, err
	}
	r := &Reader{f: f, in: bufio.NewReaderSize(f, 64<<10)}
	if err := r.header(most); err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return r, nil
}

// Close closes the file.
func (r *Reader) Close() error { return r.f.Close() }

func (r *Reader) header(most int64) error {
	info, err := r.f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: it is no regular file", ErrDamaged)
	case info.Size() > most:
		return fmt.Errorf("%w: it has %d bytes, more than %d", ErrTooLarge, info.Size(), most)
	}
	r.Size, r.left = info.Size(), info.Size()
	b, err := r.read(headerSize)
	if err != nil {
		return err
	}
	if string(b[:len(magic)]) != magic {
		return fmt.Errorf("%w: it does not begin like one", ErrDamaged)
	}
	if v := binary.LittleEndian.Uint32(b[len(magic):]); v != version {
		return fmt.Errorf("%w: %d, and this program reads %d", ErrVersion, v, version)
	}
	sum := headerSize - 4
	if crc32.Checksum(b[:sum], castagnoli) != binary.LittleEndian.Uint32(b[sum:]) {
		return fmt.Errorf("%w: its header has changed", ErrDamaged)
	}
	r.Taken = time.UnixMilli(int64(binary.LittleEndian.Uint64(b[len(magic)+4:]))) //nolint:gosec // as it was written
	return nil
}

// read returns the next bytes. It makes room for no more than the file has.
func (r *Reader) read(n int) ([]byte, error) {
	if int64(n) > r.left {
		return nil, fmt.Errorf("%w: it is cut off after %d bytes", ErrDamaged, r.Size)
	}
	if cap(r.block) < n {
		r.block = make([]byte, n)
	}
	r.left -= int64(n)
	b := r.block[:n]
	if _, err := io.ReadFull(r.in, b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return b, nil
}

// Next returns the next block, which is valid until the call after, and io.EOF
// after the last. A file is whole only if it came to that.
func (r *Reader) Next() (kind byte, block []byte, err error) {
	var prefix [prefixSize]byte
	b, err := r.read(prefixSize)
	if err != nil {
		return 0, nil, err
	}
	copy(prefix[:], b)
	block, err = r.read(int(binary.LittleEndian.Uint32(prefix[1:])))
	if err != nil {
		return 0, nil, err
	}
	if checksum(prefix[:5], block) != binary.LittleEndian.Uint32(prefix[5:]) {
		return 0, nil, fmt.Errorf("%w: block %d has changed", ErrDamaged, r.blocks)
	}
	if kind = prefix[0]; kind != end {
		r.blocks++
		return kind, block, nil
	}
	if len(block) != 8 || binary.LittleEndian.Uint64(block) != r.blocks || r.left > 0 {
		return 0, nil, fmt.Errorf("%w: it does not end where it says", ErrDamaged)
	}
	return 0, nil, io.EOF
}
