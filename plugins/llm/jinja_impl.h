/*
 * jinja_impl.h: what the files of the Jinja interpreter share. A template goes through
 *     jinja_lex.c     text to tokens, with Jinja's rules for white space
 *     jinja_parse.c   tags to nodes;  jinja_expr.c  expressions to nodes
 *     jinja_eval.c    nodes and values to text
 * with the operators in jinja_ops.c and jinja_arith.c, the filters in jinja_filters.c, jinja_seq.c, jinja_case.c and
 * jinja_json.c, the tests in jinja_tests.c, the methods and functions in jinja_methods.c and jinja_time.c, strings in
 * jinja_text.c, the values of the caller in jinja_value.c, and memory, budgets and errors in jinja_job.c.
 *
 * Everything made while parsing lives as long as the template, everything made while rendering as long as the render:
 * both take memory from a job that is freed at once, so that an error can leave by longjmp from any depth. Strings,
 * lists and maps never change once made (a template has no way to, but for generators, which are used up), so that
 * slices share bytes; what does change, frames and namespaces, is never gone through, so that no cycle can be.
 */
#ifndef JINJA_IMPL_H
#define JINJA_IMPL_H

#include "jinja.h"

#include <setjmp.h>

#define JJ_MAX_DEPTH 64  /* nesting of brackets, operators, tags, and of the caller's values */
#define JJ_MAX_CALLS 256 /* nesting of nodes and values at work, those of the macros that call each other included */
#define JJ_MAX_ARGS 255  /* of one call */
#define JJ_MAX_CHAIN 64  /* of filters, attributes and calls after one another: a.b.c|d|e */
#define JJ_MAX_RANGE 100000
#define JJ_MAX_MEMORY ((size_t)256 << 20)

/* ---- jobs: memory, budgets, errors (jinja_job.c) ---------------------------------------------------------------- */

typedef struct text { /* UTF-8; bytes that are no UTF-8 count as one character each */
    const char *p;
    const uint8_t *trust; /* a byte per byte: 1 where the template's author wrote it */
    size_t n;
} text;

typedef struct job {
    jmp_buf jump; /* to whoever began the job, after err is filled */
    jv_err *err;
    int32_t code;
    text source; /* of the template: to turn offsets into lines */
    uint32_t at; /* offset of what is being worked on */
    uint32_t depth;
    uint32_t steps;  /* taken so far */
    size_t memory;   /* bytes in use */
    const text *now; /* what strftime_now tells; null: it is not defined */
    struct chunk *chunks;
    char *room; /* what is left of the newest chunk */
    size_t room_n;
} job;

void *jj_alloc(job *j, size_t n);              /* aligned to 16, not zeroed; does not return without memory */
void *jj_array(job *j, size_t n, size_t size); /* zeroed */
void jj_reserve(job *j, size_t n);             /* counts memory from elsewhere */
void jj_free_all(job *j);
void jj_tick(job *j, size_t n);  /* n steps */
void jj_touch(job *j, size_t n); /* a string operation over n bytes, as fast as memcpy */
void jj_walk(job *j, size_t n);  /* one that looks at each character */
void jj_enter(job *j);           /* one level deeper; undone by --j->depth */
_Noreturn void jj_fail(job *j, const char *fmt, ...) JV_PRINTF(2, 3);
_Noreturn void jj_no_memory(job *j);

/* For "%.*s" in an error. */
#define JJ_SHOW(t) (int)((t).n < 200 ? (t).n : 200), (t).p

/* ---- values ----------------------------------------------------------------------------------------------------- */

enum {
    V_ABSENT, /* an argument that was not given; never a value of the template */
    V_UNDEFINED,
    V_NONE,
    V_BOOL,
    V_INT,
    V_FLOAT,
    V_STRING,
    V_LIST,
    V_MAP,
    V_NAMESPACE,
    V_LOOP,
    V_MACRO,
    V_METHOD,
    V_FUNCTION
};

/* Python has many things that are iterated like a list but print and behave otherwise. */
enum { K_LIST, K_TUPLE, K_RANGE, K_KEYS, K_VALUES, K_ITEMS, K_GENERATOR };

typedef struct value {
    int type;
    union {
        bool b;
        int64_t i;
        double d;
        const text *s; /* V_UNDEFINED: the name that was not found */
        struct list *list;
        struct map *map; /* also V_NAMESPACE */
        const struct loop *loop;
        const struct macro *macro;
        const struct method *method;
        const struct builtin *function;
    };
} value;

typedef struct list {
    value *v;
    size_t n;
    int kind;
    int64_t start, stop, step; /* K_RANGE */
} list;

typedef struct map { /* in the order of insertion */
    value *key, *v;
    size_t n, cap;
} map;

typedef struct loop { /* the variable `loop` */
    const list *items;
    size_t i;
} loop;

typedef struct method { /* self.name, not yet called */
    value self;
    const struct builtin *fn;
} method;

typedef struct call { /* of a filter, test, method, function or macro */
    job *j;
    const char *name;
    value self;       /* what a filter, test or method is applied to */
    const value *arg; /* n by position, then n_kw by name */
    const text *kw;
    size_t n, n_kw;
    value a[6]; /* the arguments in the order of the parameters, V_ABSENT where not given */
} call;

typedef struct builtin {
    const char *name;
    value (*fn)(call *c); /* null: Python has it, this interpreter does not */
    const char *params;   /* names separated by spaces; null: the function reads arg and kw itself */
    size_t required;      /* how many of them must be given */
} builtin;

static inline value jj_bool(bool b)
{
    return (value){.type = V_BOOL, .b = b};
}
static inline value jj_int(int64_t i)
{
    return (value){.type = V_INT, .i = i};
}
static inline value jj_float(double d)
{
    return (value){.type = V_FLOAT, .d = d};
}
static inline value jj_none(void)
{
    return (value){.type = V_NONE};
}
static inline bool jj_given(value v)
{
    return v.type != V_ABSENT;
}

/* Looks through the caller's value into one of this job (jinja_value.c). */
value jj_import(job *j, const jinja_value *v);

/* ---- texts (jinja_text.c) --------------------------------------------------------------------------------------- */

typedef struct buf { /* a text being written */
    job *j;
    char *p;
    uint8_t *trust;
    size_t n, cap, max;
    bool heap; /* p and trust are malloc'd and will be given away */
} buf;

void jj_put(buf *b, text t);
void jj_put_bytes(buf *b, const char *p, size_t n, bool trusted);
void jj_puts(buf *b, const char *s); /* trusted */
void jj_put_char(buf *b, uint32_t c, bool trusted);
text jj_text(const buf *b);

size_t jj_next(text t, size_t at, uint32_t *c); /* the bytes of the character at `at`, >= 1, and the character */
size_t jj_length(text t);                       /* in characters */
size_t jj_offset(text t, size_t i);             /* of character i, in bytes; n when there are fewer */
bool jj_valid_utf8(const char *p, size_t n);
bool jj_is_space(uint32_t c);
bool jj_is(text t, const char *s);
bool jj_same(text a, text b);
text jj_sub(text t, size_t from, size_t to); /* bytes */
value jj_string(job *j, text t);
value jj_literal(job *j, const char *s); /* trusted */
text jj_str(job *j, value v);            /* as Python's str() */
void jj_print(buf *b, value v);
void jj_repr(buf *b, value v);
void jj_put_float(buf *b, double d);
const char *jj_type_name(value v);

/* ---- operations (jinja_ops.c, jinja_arith.c) -------------------------------------------------------------------- */

list *jj_new_list(job *j, size_t n, int kind);
value jj_list_value(list *l);
value jj_pair(job *j, value a, value b);
map *jj_new_map(job *j, size_t n);
void jj_map_set(job *j, map *m, value key, value v);
const value *jj_map_get(job *j, const map *m, value key); /* null: not there */

bool jj_true(value v);
bool jj_equal(job *j, value a, value b);
int jj_compare(job *j, value a, value b); /* < 0, 0, > 0; NaN: 2, unordered */
bool jj_contains(job *j, value container, value v);
value jj_arith(job *j, const char *op, value a, value b);
value jj_negate(job *j, value v);
const list *jj_items(job *j, value v); /* what a for loop goes over; a generator is empty afterwards */
value jj_get_attr(job *j, value v, text name);
value jj_get_item(job *j, value v, value key);
value jj_slice(job *j, value v, const value part[3]);
bool jj_is_sequence(value v);          /* a string, a list or a tuple */
bool jj_as_double(value v, double *d); /* bool, int, float */
bool jj_as_int(value v, int64_t *i);   /* bool, int */

/* ---- what is built in (jinja_filters.c, jinja_tests.c, jinja_methods.c) ----------------------------------------- */

const builtin *jj_find(const builtin *table, text name); /* null: none */
extern const builtin jj_filters[], jj_tests[], jj_functions[];
const builtin *jj_find_method(value self, text name);
value jj_apply(call *c, const builtin *b);
value jj_tojson(call *c);
value jj_strftime_now(call *c);
int64_t jj_arg_int(call *c, int i, int64_t absent);
text jj_arg_text(call *c, int i);
/* Shared by filters and methods; a text of c->self. */
value jj_strip(call *c, int sides); /* 1: left, 2: right, 3: both */
value jj_replace(call *c);
value jj_join(job *j, text separator, const list *items);
enum { CASE_UPPER, CASE_LOWER, CASE_TITLE, CASE_WORDS, CASE_CAPITAL };
value jj_change_case(job *j, text t, int how);

/* ---- tokens and nodes ------------------------------------------------------------------------------------------- */

enum { T_END, T_DATA, T_PRINT, T_PRINT_END, T_TAG, T_TAG_END, T_NAME, T_STRING, T_INT, T_FLOAT, T_OP };

typedef struct token {
    uint8_t type;
    uint32_t at;
    text text; /* of a string, without quotes and escapes */
    union {
        int64_t i;
        double d;
    };
} token;

token *jj_lex(job *j); /* of j->source, ends with T_END */

enum {
    /* expressions; kid: */
    N_CONST,
    N_NAME,
    N_LIST,    /* items */
    N_TUPLE,   /* items */
    N_MAP,     /* key, value, ... */
    N_OR,      /* operands */
    N_AND,     /* operands */
    N_NOT,     /* operand */
    N_COMPARE, /* operands; op[i] stands before kid[i + 1] */
    N_ARITH,   /* operands; likewise */
    N_CONCAT,  /* operands */
    N_NEGATE,  /* operand */
    N_PLUS,    /* operand */
    N_CHOICE,  /* condition, then, else or null */
    N_ATTR,    /* object */
    N_ITEM,    /* object, key */
    N_SLICE,   /* object, start, stop, step or null */
    N_CALL,    /* function, arguments, arguments by name */
    N_FILTER,  /* input or null (the body of a set block), arguments, arguments by name */
    N_TEST,    /* likewise */
    /* tags; kid: */
    N_BODY, /* nodes */
    N_DATA,
    N_PRINT,      /* expression */
    N_IF,         /* condition, body, ..., else's body or null */
    N_FOR,        /* target, iterable, condition or null, body, else's body or null */
    N_SET,        /* target, expression */
    N_SET_BLOCK,  /* target, body, filter or null */
    N_MACRO,      /* body, the default or null of each parameter (in kw) */
    N_CALL_BLOCK, /* macro to be `caller`, call */
    N_SCOPE,      /* body */
    N_BREAK,
    N_CONTINUE
};

typedef struct node {
    uint8_t kind;
    uint32_t at, hash; /* hash: of name, see jj_hash */
    uint32_t n, n_kw, cap;
    bool uses_caller; /* N_MACRO: its body names `caller` */
    text name;
    value constant;
    const builtin *fn;
    const char **op;
    text *kw;
    struct node **kid;
} node;

typedef struct parser {
    job *j;
    const token *t;                /* the next */
    uint32_t depth, loops, macros; /* how many of each are open */
    bool uses_caller;
} parser;

struct jinja {
    job job; /* of the parse; owns all below */
    node *body;
};

node *jj_node(parser *p, int kind, uint32_t at);
void jj_add(parser *p, node *parent, node *kid); /* kid may be null */
void jj_deeper(parser *p);                       /* undone by --p->depth */
uint32_t jj_hash(text name);

bool jj_is_op(const parser *p, const char *op);
bool jj_is_name(const parser *p, const char *name);
bool jj_skip_op(parser *p, const char *op);
bool jj_skip_name(parser *p, const char *name);
void jj_want_op(parser *p, const char *op);
const token *jj_want_name(parser *p);
_Noreturn void jj_unexpected(parser *p, const char *wanted);

node *jj_expression(parser *p);
node *jj_expression_no_if(parser *p);        /* where an `if` that follows belongs to the tag */
node *jj_tuple(parser *p, bool no_if);       /* a, b: a tuple without parentheses; or one expression */
node *jj_filters_of(parser *p, node *input); /* |filter|filter */

#endif
