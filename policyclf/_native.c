/* The native scorer: the same splitting, scores and decisions as policyclf/fallback.py, one passage at a time.
 *
 * The compiled file (policyclf/compiler.py) is taken as it stands if it is read-only and aligned, else copied, and every
 * index in it is checked, so that nothing below needs to look twice. A model never changes after that and each call has
 * memory of its own: calls may run in several threads at once, and the GIL is held only while texts are taken over and
 * results handed back.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The format of the file, as in scorer.py and compiler.py. */
enum { PAGE = 256, N_PAGES = 0x110000 / PAGE, DROPPED = 0xFFFF, CODE_BASE = 256, CONTEXT_BLOCKS = 7, N_MARKS = 6, TIERS = 2, MAX_LONGEST = 8, MAX_DEPTH = 64 };
enum { SPACE = 1 << 16, TERMINATOR = 1 << 17, CLOSER = 1 << 18, LINE_BREAK = 1 << 19, WORD = 1 << 20, COMMA = 1 << 21 };
enum { PAGES, POINTS, BASES, EDGES, ROWS, NUMBERS, N_SECTIONS };

typedef uint64_t Edge; /* 0 where there is none */
#define CHARACTER(edge) ((uint32_t)((edge) >> 48))
#define CHILD(edge) ((uint32_t)((edge) >> 24) & 0xFFFFFF)
#define BASE(edge) ((uint32_t)(edge) & 0xFFFFFF)

#define LARGEST 1e30f       /* no number of a model is larger: sums and products of sane ones never overflow */
enum { CHAIN_LENGTH = 256 }; /* longer passages count n-grams by node: walking chains of repeats is quadratic */
enum { BLOCK_LENGTH = 2048, BLOCK_PASSAGES = 64, MAX_CORRECTIONS = CHAIN_LENGTH * MAX_LONGEST };
enum { PART_LENGTH = 1 << 17, PART_TEXTS = 4096 }; /* code points and texts taken over before the GIL is released */
enum { AHEAD = 16 }; /* positions between asking for an edge and looking at it */

#if defined(__GNUC__)
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define PREFETCH(address) ((void)0)
#endif

typedef struct {
    char magic[8];
    uint32_t crc, n_categories, width, n_nodes, n_first, n_slots, longest, depth, heading_length, window;
    uint64_t offsets[N_SECTIONS + 1];
} Header;

typedef struct {
    PyObject_HEAD
    Py_ssize_t n_categories;
    Header header;
    Py_buffer file;            /* held where it is used as it stands */
    void *allocation, *memory; /* else the file was copied to the first cache line of the allocation */
    const uint16_t *pages;
    const uint32_t *points, *bases;
    const Edge *edges;
    const float *rows;
    double cap, slope;
    size_t stride; /* of the weights below: n_categories, made a multiple of 8 with zeros, so that loops are of even steps */
    double *weights, *coverage, *intercepts, *context, *context_intercepts;
    double steps[CHAIN_LENGTH + 1], squares[CHAIN_LENGTH + 1]; /* what the k-th repeat adds to the sublinear count, to its square */
} Scorer;

/* What a repeated n-gram adds to the sums of its passage. */
typedef struct {
    uint32_t node, parent;
    double norm, dot;
} Correction;

/* What one call works with. Passages are gathered in a block, so that the walk has many positions to work on at once. */
typedef struct {
    size_t capacity;                /* of the arrays of the block */
    size_t n, n_waiting;            /* characters and passages in the block */
    size_t starts[BLOCK_PASSAGES + 1];
    uint32_t *ids;                  /* of the folded characters of the block; 0 after each passage */
    uint32_t *deepest;              /* the row of the deepest node reached from a position */
    uint32_t *bases, *live;         /* of the walk: bases of the nodes reached, positions still under way */
    uint32_t *hits;                 /* the deepest nodes that end or follow a term */
    uint32_t *last, now;            /* where a character was seen last, counted from the first passage of the call */
    uint32_t previous[CHAIN_LENGTH]; /* of each character of a passage: where it was before */
    uint32_t times[CHAIN_LENGTH];    /* how many times it was there before; ``repeated`` are those that were */
    uint32_t repeated[CHAIN_LENGTH];
    size_t n_repeated;
    uint32_t *counts;               /* of each node within a long passage; all zero between passages */
    size_t n_corrections;
    Correction *corrections;
    uint32_t *ends;                 /* of the clauses of a passage, counted from its start */
    size_t parts_capacity;
    double *sums;                   /* of each part, the passage and then its clauses, width: squared norm, then a dot product for each category */
    double *codes;                  /* of each part, the sum of the codes of its terms: above 0 where there is one */
    double *scales;                 /* of each part, what its dot products are multiplied by */
    double *covered;                /* characters of a passage, then of a clause, covered by the terms of each coverage column */
    double *clause, *best, *own;    /* scores of a clause, and of the strongest so far; the decisions of a passage */
} Work;

/* What one call returns. */
typedef struct {
    size_t n, capacity;
    int64_t *spans;
    double *scores, *decisions; /* of each passage; of the decisions first the part that needs no neighbours */
    unsigned char *headings;
} Result;

/* ---- loading ---- */

static const char *check_header(const Header *h, size_t size)
{
    uint64_t k = h->n_categories, sizes[N_SECTIONS];
    int i;

    if (memcmp(h->magic, "PCLFSC03", 8))
        return "no compiled model of this format";
    if (k < 1 || k > CODE_BASE / TIERS - 1 || h->width < k + 2 || h->width >= k + 10 || h->width % 8)
        return "its header makes no sense";
    if (h->n_first < 1 || h->n_first > DROPPED || h->n_nodes < h->n_first || h->n_nodes >= 1 << 24 || h->n_slots < h->n_first ||
        h->n_slots >= 1 << 24)
        return "its header makes no sense";
    if (h->longest < 1 || h->longest > MAX_LONGEST || h->depth < h->longest || h->depth > MAX_DEPTH || h->heading_length > 1 << 16 ||
        h->window < 1 || h->window > 64)
        return "its header makes no sense";
    sizes[PAGES] = 2 * N_PAGES;
    sizes[POINTS] = 4 * PAGE;
    sizes[BASES] = UINT64_C(4) * h->n_first;
    sizes[EDGES] = UINT64_C(8) * h->n_slots;
    sizes[ROWS] = UINT64_C(4) * h->n_nodes * h->width;
    sizes[NUMBERS] = 8 * (2 + TIERS * (k + 1) * k + k + CONTEXT_BLOCKS * k * k + k);
    for (i = 0; i < N_SECTIONS; i++)
        if (h->offsets[i] < (i ? h->offsets[i - 1] : sizeof(Header)) || h->offsets[i] % 64 || h->offsets[i + 1] > size ||
            h->offsets[i + 1] < h->offsets[i] || h->offsets[i + 1] - h->offsets[i] < sizes[i])
            return "its sections have wrong sizes";
    return NULL;
}

/* Set the pointers into the file and check every index behind them. */
static const char *check_sections(Scorer *s)
{
    const Header *h = &s->header;
    const unsigned char *base = s->memory;
    const double *numbers = (const double *)(base + h->offsets[NUMBERS]);
    size_t k = h->n_categories, i, n = (size_t)(h->offsets[POINTS + 1] - h->offsets[POINTS]) / 4;
    size_t n_numbers = 2 + TIERS * (k + 1) * k + k + CONTEXT_BLOCKS * k * k + k;
    uint32_t last_base = h->n_slots - h->n_first; /* a base + any character is a slot */
    int bad = 0;

    s->pages = (const uint16_t *)(base + h->offsets[PAGES]);
    s->points = (const uint32_t *)(base + h->offsets[POINTS]);
    s->bases = (const uint32_t *)(base + h->offsets[BASES]);
    s->edges = (const Edge *)(base + h->offsets[EDGES]);
    s->rows = (const float *)(base + h->offsets[ROWS]);
    s->cap = numbers[0];
    s->slope = numbers[1];

    /* Loops without a way out, which compilers turn into vector instructions: a model loads in a few milliseconds. */
    for (i = 0; i < N_PAGES; i++)
        bad |= s->pages[i] >= n / PAGE;
    for (i = 0; i < n; i++)
        bad |= ((s->points[i] & 0xFFFF) >= h->n_first) & ((s->points[i] & 0xFFFF) != DROPPED);
    if (bad)
        return "a code point leads nowhere";
    for (i = 0; i < h->n_first; i++)
        bad |= s->bases[i] > last_base;
    for (i = 0; i < h->n_slots; i++) {
        Edge edge = s->edges[i];
        bad |= (edge != 0) & ((CHARACTER(edge) - 1 >= h->n_first - 1) | (CHILD(edge) == 0) | (CHILD(edge) >= h->n_nodes) | (BASE(edge) > last_base));
    }
    if (bad)
        return "an edge leads nowhere";
    for (i = 0; i < (size_t)h->n_nodes * h->width; i++)
        bad |= !(fabsf(s->rows[i]) < LARGEST);
    for (i = 0; i < n_numbers; i++)
        bad |= !(fabs(numbers[i]) < LARGEST);
    if (bad || !(s->cap > 0))
        return "a weight is no number";
    for (i = 0; i < h->n_nodes; i++) {
        float code = s->rows[i * h->width + 1 + k];
        bad |= code < 0 || code >= CODE_BASE * CODE_BASE || (uint32_t)code % CODE_BASE >= TIERS * (k + 1);
    }
    return bad ? "a term belongs to no category" : NULL;
}

static void *array(size_t n, size_t size)
{
    return n > PTRDIFF_MAX / size ? NULL : calloc(n ? n : 1, size);
}

/* Copy the weights of coverage and context, each row of n_categories to one of ``stride``; tabulate the logarithms. */
static int prepare(Scorer *s)
{
    const double *numbers = (const double *)((const unsigned char *)s->memory + s->header.offsets[NUMBERS]) + 2;
    size_t k = s->header.n_categories, n_rows = TIERS * (k + 1) + 1 + CONTEXT_BLOCKS * k + 1, i;

    s->stride = (k + 7) / 8 * 8;
    s->weights = array(n_rows * s->stride, sizeof *s->weights);
    if (!s->weights)
        return -1;
    for (i = 0; i < n_rows; i++)
        memcpy(s->weights + i * s->stride, numbers + i * k, k * sizeof *numbers);
    s->coverage = s->weights;
    s->intercepts = s->coverage + TIERS * (k + 1) * s->stride;
    s->context = s->intercepts + s->stride;
    s->context_intercepts = s->context + CONTEXT_BLOCKS * k * s->stride;
    for (i = 1; i <= CHAIN_LENGTH; i++) {
        double before = 1 + log((double)i), after = 1 + log((double)i + 1);
        s->steps[i] = after - before - 1;
        s->squares[i] = after * after - before * before - 1;
    }
    return 0;
}

static PyObject *scorer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"data", NULL};
    PyObject *data;
    Scorer *s;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    const char *problem;
    size_t size;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:NativeScorer", names, &data))
        return NULL;
    s = (Scorer *)allocate(type, 0);
    if (!s)
        return NULL;
    if (PyObject_GetBuffer(data, &s->file, PyBUF_SIMPLE) < 0) {
        Py_DECREF(s);
        return NULL;
    }
    size = (size_t)s->file.len;
    problem = size < sizeof(Header) ? "it is too short" : NULL;
    if (!problem) {
        memcpy(&s->header, s->file.buf, sizeof(Header));
        problem = check_header(&s->header, size);
    }
    if (!problem && s->file.readonly && (uintptr_t)s->file.buf % 64 == 0)
        s->memory = s->file.buf;
    else if (!problem) {
        /* Rows must not straddle cache lines; the bytes of a bytes object begin anywhere. */
        unsigned char *memory = malloc(size + 64);
        if (!memory) {
            Py_DECREF(s);
            return PyErr_NoMemory();
        }
        s->allocation = memory;
        s->memory = memory + (64 - (uintptr_t)memory % 64);
        memcpy(s->memory, s->file.buf, size);
        PyBuffer_Release(&s->file);
    }
    if (!problem)
        problem = check_sections(s);
    if (!problem && prepare(s) < 0) {
        Py_DECREF(s);
        return PyErr_NoMemory();
    }
    if (problem) {
        Py_DECREF(s);
        PyErr_SetString(PyExc_ValueError, problem);
        return NULL;
    }
    s->n_categories = s->header.n_categories;
    return (PyObject *)s;
}

static void scorer_dealloc(Scorer *s)
{
    PyTypeObject *type = Py_TYPE((PyObject *)s);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

    PyBuffer_Release(&s->file); /* does nothing where none is held */
    free(s->allocation);
    free(s->weights);
    release(s);
    Py_DECREF(type);
}

/* ---- memory of a call ---- */

static int start_work(Work *w, const Scorer *s)
{
    memset(w, 0, sizeof *w);
    w->now = 1;
    w->last = array(s->header.n_first, sizeof *w->last);
    w->covered = array(2 * TIERS * ((size_t)s->n_categories + 1), sizeof *w->covered);
    w->clause = array(3 * s->stride, sizeof *w->clause);
    w->best = w->clause + s->stride;
    w->own = w->best + s->stride;
    w->corrections = malloc(MAX_CORRECTIONS * sizeof *w->corrections);
    return w->last && w->covered && w->clause && w->corrections ? 0 : -1;
}

static void end_work(Work *w)
{
    free(w->ids);
    free(w->last);
    free(w->counts);
    free(w->sums);
    free(w->covered);
    free(w->clause);
    free(w->corrections);
}

/* Make room in the block for ``n`` more characters than it ever holds before it is scored, and an end mark. */
static int reserve_block(Work *w, size_t n)
{
    size_t capacity = BLOCK_LENGTH + n + 1, row = capacity + MAX_DEPTH;
    uint32_t *grown;

    if (capacity <= w->capacity)
        return 0;
    if (n > PTRDIFF_MAX / 8 / sizeof *grown || !(grown = realloc(w->ids, 6 * row * sizeof *grown)))
        return -1;
    w->ids = grown;
    w->deepest = grown + row;
    w->hits = w->deepest + row;
    w->bases = w->hits + row;
    w->live = w->bases + row;
    w->ends = w->live + row;
    w->capacity = capacity;
    return 0;
}

static int reserve_result(Result *r, size_t n, size_t n_categories)
{
    size_t capacity = n < r->capacity * 2 ? r->capacity * 2 : n;
    void *p;

    if (n <= r->capacity)
        return 0;
    if (capacity > PTRDIFF_MAX / (16 * n_categories + 16))
        return -1;
    if (!(p = realloc(r->spans, capacity * 2 * sizeof *r->spans)))
        return -1;
    r->spans = p;
    if (!(p = realloc(r->scores, capacity * n_categories * sizeof *r->scores)))
        return -1;
    r->scores = p;
    if (!(p = realloc(r->decisions, capacity * n_categories * sizeof *r->decisions)))
        return -1;
    r->decisions = p;
    if (!(p = realloc(r->headings, capacity)))
        return -1;
    r->headings = p;
    r->capacity = capacity;
    return 0;
}

static void end_result(Result *r)
{
    free(r->spans);
    free(r->scores);
    free(r->decisions);
    free(r->headings);
}

/* ---- scoring ---- */

/* Note to add ``norm`` and ``dot`` times what an n-gram, without those that it begins with, has in its row. */
static inline void note(Work *w, uint32_t node, uint32_t parent, double norm, double dot)
{
    Correction *c = &w->corrections[w->n_corrections++];

    c->node = node;
    c->parent = parent;
    c->norm = norm;
    c->dot = dot;
}

/* Add the corrections to the sums of the passage. */
static void apply_corrections(const Scorer *s, Work *w)
{
    size_t width = s->header.width, block, i, j;
    double first = w->sums[0];

    for (block = 0; block < width; block += 8) {
        double sums[8];
        memcpy(sums, w->sums + block, sizeof sums);
        for (i = 0; i < w->n_corrections; i++) {
            const Correction c = w->corrections[i];
            const float *row = s->rows + c.node * width + block, *shorter = s->rows + c.parent * width + block;
            if (block == 0)
                first += c.norm * ((double)row[0] - shorter[0]);
            for (j = 0; j < 8; j++)
                sums[j] += c.dot * ((double)row[j] - shorter[j]);
        }
        memcpy(w->sums + block, sums, sizeof sums);
    }
    w->sums[0] = first;
    w->n_corrections = 0;
}

/* Whether a clause begins at a character; text.clauses says what a clause is. */
static inline uint32_t begins_clause(uint32_t before, uint32_t id)
{
    return (before - 1 < N_MARKS) & (id - 1 >= N_MARKS); /* id 0 is no mark */
}

/* Find the clauses of a passage; return how many there are. */
static size_t find_clauses(Work *w, size_t start, size_t n)
{
    const uint32_t *ids = w->ids + start;
    size_t n_clauses = 0, i;

    for (i = 1; i < n; i++) {
        w->ends[n_clauses] = (uint32_t)i;
        n_clauses += begins_clause(ids[i - 1], ids[i]);
    }
    w->ends[n_clauses++] = (uint32_t)n;
    return n_clauses;
}

/* The same for a passage of up to CHAIN_LENGTH characters, and find those that were in the passage before. */
static size_t find_repeats(Work *w, size_t start, size_t n)
{
    uint32_t *last = w->last, *ends = w->ends, now = w->now, before = 0;
    const uint32_t *ids = w->ids + start;
    size_t n_clauses = 0, n_repeated = 0, i;

    for (i = 0; i < n; i++) { /* stamps from now on are of this passage */
        uint32_t id = ids[i], seen = last[id];
        last[id] = now + (uint32_t)i;
        w->previous[i] = seen;
        w->repeated[n_repeated] = (uint32_t)i;
        n_repeated += (seen >= now) & (id != 0);
        ends[n_clauses] = (uint32_t)i;
        n_clauses += begins_clause(before, id);
        before = id;
    }
    ends[n_clauses++] = (uint32_t)n;
    w->n_repeated = n_repeated;
    return n_clauses;
}

/* The edge that leads on from a base by a character, or 0. */
static inline Edge follow(const Scorer *s, uint32_t base, uint32_t id)
{
    Edge edge = s->edges[base + id];

    return edge & (0 - (Edge)(CHARACTER(edge) == id));
}

/* An n-gram that occurs k times in a passage was counted k times: make it 1 + log k.
 *
 * A repeated n-gram begins with characters seen before, so the few positions of such characters are all that is looked at;
 * from each, a chain of previous positions leads to the earlier occurrences. */
static void correct_repeats(const Scorer *s, Work *w, size_t start, size_t n)
{
    const uint32_t *ids = w->ids + start, *previous = w->previous;
    uint32_t longest = s->header.longest, now = w->now, length, j;
    size_t r;

    w->now += (uint32_t)n;
    memset(w->times, 0, n * sizeof *w->times);
    for (r = 0; r < w->n_repeated; r++) {
        uint32_t at = w->repeated[r], node = ids[at], base = s->bases[node], times = w->times[previous[at] - now] + 1, counts[MAX_LONGEST] = {0};
        w->times[at] = times;
        note(w, node, 0, s->squares[times], s->steps[times]);
        if (longest < 2 || at + 1 == n || previous[at + 1] < now) /* the next character was not there before */
            continue;
        for (j = previous[at]; j >= now; j = previous[j - now])
            for (length = 1; length < longest && ids[at + length] && ids[at + length] == ids[j - now + length]; length++)
                counts[length]++;
        for (length = 1; length < longest && counts[length]; length++) {
            Edge edge = follow(s, base, ids[at + length]);
            if (!edge)
                break;
            note(w, CHILD(edge), node, s->squares[counts[length]], s->steps[counts[length]]);
            node = CHILD(edge);
            base = BASE(edge);
        }
    }
    apply_corrections(s, w);
}

/* The same for a passage of any length. ``rows`` and ``bases`` have room for what each position has come to. */
static int correct_repeats_long(const Scorer *s, Work *w, size_t start, size_t n)
{
    const uint32_t *ids = w->ids + start;
    uint32_t *rows = w->live, *bases = w->bases, length;
    size_t n_ngrams, i;

    if (!w->counts && !(w->counts = array(s->header.n_nodes, sizeof *w->counts)))
        return -1;
    for (length = 0; length < s->header.longest && length < n; length++) {
        n_ngrams = n - length;
        for (i = 0; i < n_ngrams; i++) {
            Edge edge = length ? follow(s, bases[i], ids[i + length]) : 0;
            w->hits[i] = length ? rows[i] : 0; /* the n-gram that this one begins with */
            rows[i] = length ? CHILD(edge) : ids[i];
            bases[i] = length ? BASE(edge) : s->bases[ids[i]];
            w->counts[rows[i]]++;
        }
        for (i = 0; i < n_ngrams; i++)
            if (rows[i] && w->counts[rows[i]] > 1) {
                double count = w->counts[rows[i]], frequency = 1 + log(count);
                note(w, rows[i], w->hits[i], frequency * frequency - count, frequency - count);
                w->counts[rows[i]] = 1;
                if (w->n_corrections == MAX_CORRECTIONS)
                    apply_corrections(s, w);
            }
        for (i = 0; i < n_ngrams; i++)
            w->counts[rows[i]] = 0;
    }
    apply_corrections(s, w);
    return 0;
}

/* Find, for each position of the block, the row of the deepest node that a walk from there reaches.
 *
 * All positions take one step together. Nothing branches on what a look at the edges gives, so that many looks are under
 * way at once: the time goes into waiting for memory. */
static void walk(const Scorer *s, Work *w)
{
    const Edge *edges = s->edges;
    uint32_t depth = s->header.depth, level;
    uint32_t *ids = w->ids, *deepest = w->deepest, *bases = w->bases, *live = w->live;
    size_t n = w->n, width = s->header.width, n_live = 0, a, i;

    memset(ids + n, 0, MAX_DEPTH * sizeof *ids);
    for (i = 0; i < n; i++) { /* the first step, of all positions */
        Edge edge = follow(s, s->bases[ids[i]], ids[i + 1]);
        PREFETCH(edges + s->bases[ids[i + AHEAD]] + ids[i + AHEAD + 1]);
        deepest[i] = CHILD(edge) | (ids[i] & (0 - (uint32_t)(edge == 0)));
        PREFETCH(edges + BASE(edge) + ids[i + 2]);
        live[n_live] = (uint32_t)i;
        bases[n_live] = BASE(edge);
        n_live += BASE(edge) != 0;
    }
    for (level = 2; level < depth && n_live; level++) { /* further steps, of those that are still under way */
        size_t n_left = 0;
        for (a = 0; a < n_live; a++) {
            uint32_t at = live[a];
            Edge edge = follow(s, bases[a], ids[at + level]);
            deepest[at] = CHILD(edge) | (deepest[at] & (0 - (uint32_t)(edge == 0)));
            PREFETCH(edges + BASE(edge) + ids[at + level + 1]);
            live[n_left] = at;
            bases[n_left] = BASE(edge);
            n_left += BASE(edge) != 0;
        }
        n_live = n_left;
    }
    for (i = 0; i < n; i++)
        PREFETCH(s->rows + deepest[i] * width);
}

/* Sum the rows of a passage and of each of its clauses; no n-gram goes on from one clause to the next. */
static int sum_rows(const Scorer *s, Work *w, size_t start, size_t n_clauses)
{
    size_t width = s->header.width, block, clause, begin, end, i, j;
    const uint32_t *deepest = w->deepest + start;
    const float *rows = s->rows;

    if (n_clauses >= w->parts_capacity) {
        size_t capacity = 2 * n_clauses + 16;
        double *grown = realloc(w->sums, capacity * (width + 2) * sizeof *grown);
        if (!grown)
            return -1;
        memset(grown, 0, capacity * (width + 2) * sizeof *grown); /* scores are made of eight sums at a time, some of them of no part */
        w->sums = grown;
        w->codes = grown + capacity * width;
        w->scales = w->codes + capacity;
        w->parts_capacity = capacity;
    }
    for (block = 0; block < width; block += 8) {
        double all[8] = {0};
        for (clause = begin = 0; clause < n_clauses; clause++, begin = end) {
            double sums[8] = {0};
            end = w->ends[clause];
            for (i = begin; i < end; i++) {
                const float *row = rows + deepest[i] * width + block;
                for (j = 0; j < 8; j++)
                    sums[j] += row[j];
            }
            for (j = 0; j < 8; j++)
                all[j] += sums[j];
            memcpy(w->sums + (1 + clause) * width + block, sums, sizeof sums);
        }
        memcpy(w->sums + block, all, sizeof all);
    }
    for (i = 0; i <= n_clauses; i++) /* before repeats change the sums of the passage */
        w->codes[i] = w->sums[i * width + 1 + s->header.n_categories];
    return 0;
}

/* Count the characters that the terms of ``n`` positions cover, for each coverage column. */
static void count_covered(const Scorer *s, Work *w, size_t start, size_t n, double *covered)
{
    const uint32_t *deepest = w->deepest + start;
    const float *codes = s->rows + 1 + s->header.n_categories;
    size_t width = s->header.width, n_hits = 0, i;

    for (i = 0; i < n; i++) {
        w->hits[n_hits] = deepest[i];
        n_hits += codes[deepest[i] * width] > 0;
    }
    for (i = 0; i < n_hits; i++) {
        uint32_t code = (uint32_t)codes[w->hits[i] * width];
        covered[code % CODE_BASE] += code / CODE_BASE;
    }
}

/* Add to ``stride`` decisions ``n`` features, from ``first`` on among those of stage two, times their weights. */
static inline void add_products(const Scorer *s, size_t first, const double *features, size_t n, const double *before, double *decisions)
{
    size_t stride = s->stride, block, f, j;

    for (block = 0; block < stride; block += 8) {
        const double *weights = s->context + first * stride + block;
        double out[8];
        memcpy(out, before + block, sizeof out);
        for (f = 0; f < n; f++, weights += stride) {
            double feature = features[f];
            for (j = 0; j < 8; j++)
                out[j] += feature * weights[j];
        }
        memcpy(decisions + block, out, sizeof out);
    }
}

/* Turn sums into ``stride`` scores; those beyond the categories mean nothing. */
static inline void finish_part(const Scorer *s, const double *sums, double scale, const double *covered, double *scores)
{
    size_t stride = s->stride, j, k, block;

    for (block = 0; block < stride; block += 8)
        for (k = block; k < block + 8; k++)
            scores[k] = sums[1 + k] * scale + s->intercepts[k];
    for (j = 0; covered && j < TIERS * (s->header.n_categories + 1); j++)
        if (covered[j] > 0) {
            double share = (covered[j] < s->cap ? covered[j] : s->cap) / s->cap;
            for (block = 0; block < stride; block += 8)
                for (k = block; k < block + 8; k++)
                    scores[k] += share * s->coverage[j * stride + k];
        }
}

/* Score the passage that stands at ``start`` in the block; of its decisions make the part that scores of its own and of its strongest clauses have. */
static int score_passage(const Scorer *s, Work *w, size_t start, size_t n, double *scores, double *decisions)
{
    size_t n_categories = s->header.n_categories, n_columns = TIERS * (n_categories + 1), width = s->header.width, n_clauses, clause, begin, block, j, k;
    double *all = w->covered, *own = w->covered + n_columns;

    if (w->now > UINT32_MAX - 2 * CHAIN_LENGTH) {
        memset(w->last, 0, s->header.n_first * sizeof *w->last);
        w->now = 1;
    }
    n_clauses = n > CHAIN_LENGTH ? find_clauses(w, start, n) : find_repeats(w, start, n);
    if (sum_rows(s, w, start, n_clauses) < 0)
        return -1;
    if (n <= CHAIN_LENGTH)
        correct_repeats(s, w, start, n);
    else if (correct_repeats_long(s, w, start, n) < 0)
        return -1;
    for (j = 0; j <= n_clauses; j++)
        w->scales[j] = 1 / sqrt(w->sums[j * width] > 0 ? w->sums[j * width] : 1);
    memset(all, 0, n_columns * sizeof *all);
    for (clause = begin = 0; clause < n_clauses; begin = w->ends[clause++]) {
        int has_terms = w->codes[1 + clause] > 0;
        if (has_terms) {
            memset(own, 0, n_columns * sizeof *own);
            count_covered(s, w, start + begin, w->ends[clause] - begin, own);
            for (j = 0; j < n_columns; j++)
                all[j] += own[j];
        }
        finish_part(s, w->sums + (1 + clause) * width, w->scales[1 + clause], has_terms ? own : NULL, clause ? w->clause : w->best);
        for (block = 0; clause && block < s->stride; block += 8)
            for (k = block; k < block + 8; k++)
                w->best[k] = w->clause[k] > w->best[k] ? w->clause[k] : w->best[k];
    }
    finish_part(s, w->sums, w->scales[0], w->codes[0] > 0 ? all : NULL, w->clause);
    memcpy(scores, w->clause, n_categories * sizeof *scores);
    add_products(s, 0, w->clause, n_categories, s->context_intercepts, w->own);
    add_products(s, n_categories, w->best, n_categories, w->own, w->own);
    memcpy(decisions, w->own, n_categories * sizeof *decisions);
    return 0;
}

/* Score the passages that wait in the block, the last ones of the result, and empty it. */
static int score_block(const Scorer *s, Work *w, Result *r)
{
    size_t first = (r->n - w->n_waiting) * s->header.n_categories, i;

    if (!w->n_waiting)
        return 0;
    walk(s, w);
    for (i = 0; i < w->n_waiting; i++, first += s->header.n_categories)
        if (score_passage(s, w, w->starts[i], w->starts[i + 1] - w->starts[i] - 1, r->scores + first, r->decisions + first) < 0)
            return -1;
    w->n = w->n_waiting = 0;
    return 0;
}

/* What the points table says of a character. */
static inline uint32_t look_up(const Scorer *s, Py_UCS4 point)
{
    return s->points[(size_t)s->pages[point / PAGE] * PAGE + point % PAGE];
}

/* Put a character after the first ``n`` of the block unless it is dropped; return how many there are then. */
static inline size_t append(uint32_t *ids, size_t n, uint32_t found)
{
    ids[n] = found & 0xFFFF;
    return n + (ids[n] != DROPPED);
}

/* Make a passage of what was appended, up to ``n``; score the block when it is full. */
static int end_passage(const Scorer *s, Work *w, size_t n, size_t length, uint32_t last, Result *r)
{
    size_t k = s->header.n_categories;

    if (reserve_result(r, r->n + 1, k) < 0)
        return -1;
    w->ids[n++] = 0; /* parts the passages: no walk goes across it */
    w->n = n;
    w->starts[++w->n_waiting] = n;
    r->headings[r->n++] = length && length <= s->header.heading_length && !(last & (TERMINATOR | CLOSER | COMMA));
    if (n < BLOCK_LENGTH && w->n_waiting < BLOCK_PASSAGES)
        return 0;
    return score_block(s, w, r);
}

static int add_passage(const Scorer *s, Work *w, const Py_UCS4 *text, size_t length, Result *r)
{
    size_t n = w->n, i;
    uint32_t found = 0;

    if (reserve_block(w, length) < 0)
        return -1;
    for (i = 0; i < length; i++) {
        found = look_up(s, text[i]);
        n = append(w->ids, n, found);
    }
    return end_passage(s, w, n, length, found, r);
}

/* Split a text; text.split says what a passage is. */
static int add_article(const Scorer *s, Work *w, const Py_UCS4 *text, size_t length, Result *r)
{
    size_t start = 0, end, next, n;
    uint32_t found, seen, *ids;

    if (reserve_block(w, length) < 0)
        return -1;
    ids = w->ids;
    for (; start < length; start = next) {
        n = w->n;
        found = seen = 0;
        for (next = start; next < length; next++) {
            found = look_up(s, text[next]);
            if (found & (TERMINATOR | LINE_BREAK))
                break;
            seen |= found;
            n = append(ids, n, found);
        }
        end = next++; /* a line break belongs to no passage */
        if (found & TERMINATOR) {
            for (; end < length && (found = look_up(s, text[end])) & TERMINATOR; end++)
                n = append(ids, n, found);
            for (; end < length && (found = look_up(s, text[end])) & CLOSER; end++)
                n = append(ids, n, found);
            next = end;
        }
        if (!(seen & WORD))
            continue;
        while (start < end && look_up(s, text[start]) & SPACE)
            start++;
        while (start < end && (found = look_up(s, text[end - 1])) & SPACE)
            end--;
        if (end_passage(s, w, n, end - start, found, r) < 0)
            return -1;
        r->spans[2 * r->n - 2] = (int64_t)start;
        r->spans[2 * r->n - 1] = (int64_t)end;
    }
    return 0;
}

/* Add to the decisions of one document's passages what their context makes; fallback.context_features says what its blocks are.
 * ``squashed`` holds n rows, ``features`` the context of one passage, ``sums`` its decisions. */
static void add_context(const Scorer *s, const double *scores, const unsigned char *headings, size_t n, double *squashed, double *features, double *sums,
                        double *decisions)
{
    size_t k = s->header.n_categories, window = s->header.window, heading = SIZE_MAX, i, j;

    memset(features + 4 * k, 0, k * sizeof *features);
    for (i = 0; i < n; i++)
        for (j = 0; j < k; j++)
            features[4 * k + j] += squashed[i * k + j] = 1 / (1 + exp(-s->slope * scores[i * k + j]));
    for (j = 0; j < k && n; j++)
        features[4 * k + j] /= (double)n;
    for (i = 0; i < n; i++) {
        size_t low = i < window ? 0 : i - window, high = n - i <= window ? n : i + window + 1, other;
        double share = high - low > 1 ? 1 / (double)(high - low - 1) : 0;

        memset(features + 2 * k, 0, k * sizeof *features);
        for (other = low; other < high; other++)
            for (j = 0; j < k && other != i; j++)
                features[2 * k + j] += squashed[other * k + j] * share;
        for (j = 0; j < k; j++) {
            features[j] = i ? squashed[(i - 1) * k + j] : 0;
            features[k + j] = i + 1 < n ? squashed[(i + 1) * k + j] : 0;
            features[3 * k + j] = heading != SIZE_MAX ? squashed[heading * k + j] : 0;
        }
        if (headings[i])
            heading = i;
        memcpy(sums, decisions + i * k, k * sizeof *sums);
        add_products(s, 2 * k, features, 5 * k, sums, sums);
        memcpy(decisions + i * k, sums, k * sizeof *sums);
    }
}

static int decide_all(const Scorer *s, Result *r, const int64_t *counts, size_t n_documents)
{
    size_t k = (size_t)s->n_categories, most = 0, at = 0, i;
    double *squashed, *features, *sums;

    for (i = 0; i < n_documents; i++)
        most = (size_t)counts[i] > most ? (size_t)counts[i] : most;
    squashed = array(most * k, sizeof *squashed);
    features = array((CONTEXT_BLOCKS - 2) * k, sizeof *features);
    sums = array(s->stride, sizeof *sums);
    for (i = 0; squashed && features && sums && i < n_documents; i++) {
        add_context(s, r->scores + at * k, r->headings + at, (size_t)counts[i], squashed, features, sums, r->decisions + at * k);
        at += (size_t)counts[i];
    }
    free(squashed);
    free(features);
    free(sums);
    return squashed && features && sums ? 0 : -1;
}

/* ---- the door to Python ---- */

/* The texts of a call, taken over a part at a time: the part stays in the cache, and memory does not grow with the call. */
typedef struct {
    PyObject *items; /* a tuple: a list could change under us */
    Py_ssize_t n_items, next;
    size_t n, starts[PART_TEXTS + 1]; /* of this part */
    size_t capacity;
    Py_UCS4 *points;
} Texts;

static int start_texts(Texts *t, PyObject *sequence)
{
    t->items = PySequence_Tuple(sequence);
    t->n_items = t->items ? PyTuple_Size(t->items) : 0;
    t->next = 0;
    t->n = t->starts[0] = t->capacity = 0;
    t->points = NULL;
    return t->items ? 0 : -1;
}

static void end_texts(Texts *t)
{
    Py_XDECREF(t->items);
    free(t->points);
}

/* Take over the next part; return 1, 0 where there is none left, or -1 with an exception. */
static int next_texts(Texts *t)
{
    for (t->n = 0; t->next < t->n_items && t->n < PART_TEXTS && (!t->n || t->starts[t->n] < PART_LENGTH); t->next++) {
        PyObject *item = PyTuple_GetItem(t->items, t->next);
        Py_ssize_t length;
        size_t start = t->starts[t->n], end;

        if (!PyUnicode_Check(item)) {
            PyErr_Format(PyExc_TypeError, "text %zd is no str", t->next);
            return -1;
        }
        if ((length = PyUnicode_GetLength(item)) < 0)
            return -1;
        end = start + (size_t)length;
        if (end > t->capacity) {
            size_t capacity = end < 2 * t->capacity ? 2 * t->capacity : end;
            Py_UCS4 *grown = capacity > PTRDIFF_MAX / sizeof *grown ? NULL : realloc(t->points, capacity * sizeof *grown);
            if (!grown) {
                PyErr_NoMemory();
                return -1;
            }
            t->points = grown;
            t->capacity = capacity;
        }
        if (length && !PyUnicode_AsUCS4(item, t->points + start, length, 0))
            return -1;
        t->starts[++t->n] = end;
    }
    return t->n > 0;
}

/* Read the passages of each document; they must add up to ``total``. */
static int64_t *take_counts(PyObject *sequence, size_t total, size_t *n_documents)
{
    PyObject *items = PySequence_Tuple(sequence);
    int64_t *counts;
    Py_ssize_t i, n;
    size_t sum = 0;

    if (!items)
        return NULL;
    n = PyTuple_Size(items);
    counts = array((size_t)n, sizeof *counts);
    if (!counts)
        PyErr_NoMemory();
    for (i = 0; counts && i < n; i++) {
        PyObject *index = PyNumber_Index(PyTuple_GetItem(items, i));
        Py_ssize_t count = index ? PyLong_AsSsize_t(index) : -1;
        Py_XDECREF(index);
        if (count < 0 || (size_t)count > total - sum)
            break;
        counts[i] = count;
        sum += (size_t)count;
    }
    *n_documents = (size_t)n;
    Py_DECREF(items);
    if (counts && (i < n || sum != total)) {
        free(counts);
        counts = NULL;
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "the counts do not add up to the number of passages");
    }
    return counts;
}

static PyObject *as_bytes(const void *data, size_t n, size_t size)
{
    return PyBytes_FromStringAndSize(data, (Py_ssize_t)(n * size));
}

static PyObject *articles(Scorer *s, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"texts", NULL};
    PyObject *sequence, *answer = NULL;
    Result r = {0};
    Texts t;
    Work w;
    int64_t *counts;
    size_t i, n, done = 0, k = (size_t)s->n_categories;
    int more = 0, failed;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:articles", names, &sequence) || start_texts(&t, sequence) < 0)
        return NULL;
    n = (size_t)t.n_items;
    counts = array(n, sizeof *counts);
    failed = start_work(&w, s) < 0 || !counts;
    while (!failed && (more = next_texts(&t)) > 0) {
        Py_BEGIN_ALLOW_THREADS
        for (i = 0; !failed && i < t.n; i++) {
            size_t before = r.n;
            failed = add_article(s, &w, t.points + t.starts[i], t.starts[i + 1] - t.starts[i], &r) < 0;
            counts[done++] = (int64_t)(r.n - before);
        }
        Py_END_ALLOW_THREADS
    }
    if (!failed && more == 0) {
        Py_BEGIN_ALLOW_THREADS
        failed = score_block(s, &w, &r) < 0 || decide_all(s, &r, counts, n) < 0;
        Py_END_ALLOW_THREADS
    }
    if (failed)
        PyErr_NoMemory();
    else if (more == 0)
        answer = Py_BuildValue("(NNNN)", as_bytes(counts, n, 8), as_bytes(r.spans, r.n, 16), as_bytes(r.scores, r.n, 8 * k), as_bytes(r.decisions, r.n, 8 * k));
    free(counts);
    end_work(&w);
    end_result(&r);
    end_texts(&t);
    return answer;
}

static PyObject *passages(Scorer *s, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"texts", "counts", NULL};
    PyObject *sequence, *numbers, *scores = NULL, *decisions = NULL, *answer = NULL;
    Result r = {0};
    Texts t;
    Work w;
    int64_t *counts;
    size_t i, n, n_documents, k = (size_t)s->n_categories;
    int more = 0, failed;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:passages", names, &sequence, &numbers) || start_texts(&t, sequence) < 0)
        return NULL;
    n = (size_t)t.n_items;
    counts = take_counts(numbers, n, &n_documents);
    if (!counts) {
        end_texts(&t);
        return NULL;
    }
    failed = start_work(&w, s) < 0 || reserve_result(&r, n, k) < 0 || !(scores = as_bytes(NULL, n, 8 * k)) || !(decisions = as_bytes(NULL, n, 8 * k));
    if (!failed) { /* how many there are is known: they are written where they are to stay */
        free(r.scores);
        free(r.decisions);
        r.scores = (double *)PyBytes_AsString(scores);
        r.decisions = (double *)PyBytes_AsString(decisions);
    }
    while (!failed && (more = next_texts(&t)) > 0) {
        Py_BEGIN_ALLOW_THREADS
        for (i = 0; !failed && i < t.n; i++)
            failed = add_passage(s, &w, t.points + t.starts[i], t.starts[i + 1] - t.starts[i], &r) < 0;
        Py_END_ALLOW_THREADS
    }
    if (!failed && more == 0) {
        Py_BEGIN_ALLOW_THREADS
        failed = score_block(s, &w, &r) < 0 || decide_all(s, &r, counts, n_documents) < 0;
        Py_END_ALLOW_THREADS
    }
    if (failed)
        PyErr_NoMemory();
    else if (more == 0)
        answer = PyTuple_Pack(2, scores, decisions);
    if (decisions)
        r.scores = r.decisions = NULL; /* not ours to free */
    Py_XDECREF(scores);
    Py_XDECREF(decisions);
    free(counts);
    end_work(&w);
    end_result(&r);
    end_texts(&t);
    return answer;
}

static PyMethodDef methods[] = {
    {"articles", (PyCFunction)(void (*)(void))articles, METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("articles(texts)\n--\n\nSplit and score whole articles; return counts, spans, scores and decisions as bytes.")},
    {"passages", (PyCFunction)(void (*)(void))passages, METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("passages(texts, counts)\n--\n\nScore passages that are already split; return scores and decisions as bytes.")},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"n_categories", T_PYSSIZET, offsetof(Scorer, n_categories), READONLY, PyDoc_STR("Number of categories.")},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("NativeScorer(data)\n--\n\nScores from a compiled model; raises ValueError for one that is damaged.")},
    {Py_tp_new, (void *)scorer_new},
    {Py_tp_dealloc, (void *)scorer_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {0, NULL},
};

static PyType_Spec spec = {"policyclf._native.NativeScorer", sizeof(Scorer), 0, Py_TPFLAGS_DEFAULT, slots};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "policyclf._native", .m_doc = PyDoc_STR("The native scorer."), .m_size = -1,
};

PyMODINIT_FUNC PyInit__native(void)
{
    const uint16_t one = 1;
    PyObject *module, *type;

    if (!*(const unsigned char *)&one) {
        PyErr_SetString(PyExc_ImportError, "the compiled model is little endian and this machine is not");
        return NULL;
    }
    module = PyModule_Create(&definition);
    type = module ? PyType_FromSpec(&spec) : NULL;
    if (!type || PyModule_AddObject(module, "NativeScorer", type) < 0) {
        Py_XDECREF(type);
        Py_XDECREF(module);
        return NULL;
    }
    return module;
}
