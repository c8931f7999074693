/* plugin.c: the stages of jv_llm.so. Each has a file of its own, which is its manual: model.c, generate.c, score.c,
 * samples.c, tokenize.c, template.c, bench.c, verify.c. */
#include "stages.h"

#define THREADS 64 /* calls that may wait for the model; how many run at once is the model's matter */

static const jv_port one_out[] = {{"out", "the record, with what was made of it", 0, 0}, {0}};
static const jv_port answers_out[] = {{"out", "a record for each answer", 0, 0}, {0}};
static const jv_port children_out[] = {{"out", "one record for each token, and one for all", 0, 0}, {0}};

static const jv_port verdict_out[] = {{"out", "one record: the verdict", 0, 0}, {0}};
static const jv_port lines_out[] = {{"out", "one record for each test", 0, 0}, {0}};

static const jv_stage stages[] = {
    {
        .name = "model",
        .brief = "a language model from a GGUF file, offered to generate, score and tokenize",
        .ctx_size = sizeof(struct model),
        .opts = model_options,
        .services = model_services,
        .open = model_open,
        .start = model_start,
        .close = model_close,
    },
    {
        .name = "generate",
        .brief = "answers a prompt with a model",
        .flags = JV_PARALLEL | JV_RESULT,
        .ctx_size = sizeof(struct generate),
        .threads = THREADS,
        .fields = generate_fields,
        .ports = one_out,
        .opts = generate_options,
        .counters = generate_counters,
        .open = generate_open,
        .process = generate_process,
        .close = generate_close,
    },
    {
        .name = "samples",
        .brief = "several answers to a prompt, each a record",
        .flags = JV_PARALLEL | JV_SPLIT | JV_RESULT,
        .ctx_size = sizeof(struct generate),
        .threads = THREADS,
        .fields = samples_fields,
        .ports = answers_out,
        .opts = samples_options,
        .counters = samples_counters,
        .open = generate_open,
        .process = samples_process,
        .close = generate_close,
    },
    {
        .name = "template",
        .brief = "a conversation as the text a model goes on from",
        .flags = JV_PARALLEL,
        .ctx_size = sizeof(struct template),
        .fields = template_fields,
        .ports = one_out,
        .opts = template_options,
        .open = template_open,
        .process = template_process,
        .close = template_close,
    },
    {
        .name = "score",
        .brief = "how likely a model finds a text, token by token",
        .flags = JV_PARALLEL | JV_SPLIT | JV_RESULT,
        .ctx_size = sizeof(struct score),
        .threads = THREADS,
        .fields = score_fields,
        .ports = children_out,
        .opts = score_options,
        .counters = score_counters,
        .open = score_open,
        .process = score_process,
    },
    {
        .name = "tokenize",
        .brief = "a text as a model's token ids",
        .flags = JV_PARALLEL,
        .ctx_size = sizeof(struct tokenize),
        .threads = THREADS,
        .fields = tokenize_fields,
        .ports = one_out,
        .opts = tokenize_options,
        .counters = tokenize_counters,
        .open = tokenize_open,
        .process = tokenize_process,
    },
    {
        .name = "bench",
        .brief = "how fast a model runs here, beside what the machine could do",
        .ctx_size = sizeof(struct bench),
        .fields = bench_fields,
        .ports = lines_out,
        .opts = bench_options,
        .open = bench_open,
        .poll = bench_poll,
        .stop = bench_stop,
        .close = bench_close,
    },
    {
        .name = "verify",
        .brief = "whether a model answers alike whatever its company",
        .ctx_size = sizeof(struct verify),
        .fields = verify_fields,
        .ports = verdict_out,
        .opts = verify_options,
        .open = verify_open,
        .start = verify_start,
        .poll = verify_poll,
        .flush = verify_flush,
        .stop = verify_stop,
        .close = verify_close,
    },
};

JV_PLUGIN("llm", "0.1.0", "MIT", stages);
