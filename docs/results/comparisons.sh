#!/usr/bin/env bash
# comparisons.sh [results-quick|results] [FOLDER]: the paper's comparisons with a short schedule.
#
# Trains on train and evaluates on val of the VOC data in $FRCNN_DATA; the test split is not read.
# results-quick trains one model and evaluates it in several ways, which takes half an hour on two
# cores with instructions for bfloat16, and longer on others. Both resume after an interruption.
# docs/results/table.py prints the existing results.
set -euo pipefail
target=${1:-results-quick} runs=${2:-results} frcnn=${FRCNN:-frcnn}
proposals=${PROPOSALS:-$runs/selective-search.proposals}
opencv=${OPENCV_PROPOSALS:-$runs/opencv.proposals} dense=$runs/dense.proposals
schedule=(--backbone efficientnet_lite0 --variant one-head --split train
          --iterations 1000 --scale 400 --set 'sampling.scales=[]'
          --set schedule.decay=step --set train.averaging=0
          --set detect.box_voting=0 --set detect.nms_iou=0.3 --set detect.max_per_class=100
          --checkpoint-every 250)
mkdir -p "$runs"

# propose FILE [OPTION ...]: compute proposals of train and val, unless FILE exists
propose() { test -e "$1" || "$frcnn" propose voc2007 --split trainval --out "$@"; }

# learn NAME FILE [OPTION ...]: train a detector with proposals from FILE
learn() {
	local run=$runs/$1 file=$2
	shift 2
	if test -e "$run/model.safetensors"; then return; fi
	if test -e "$run"; then "$frcnn" train --resume "$run"; return; fi
	"$frcnn" train voc2007 "${schedule[@]}" --proposals "$file" --allow-mismatch --out "$run" "$@"
}

# score NAME RUN FILE [OPTION ...]: evaluate RUN on val and write NAME.json
score() {
	local results=$runs/$1.json run=$runs/$2 file=$3
	shift 3
	test -e "$results" || "$frcnn" eval "$run" voc2007 --split val \
		--proposals "$file" --allow-mismatch --json "$results" "$@"
}

# compare NAME FILE [OPTION ...]: train and evaluate
compare() { learn "$@"; score "$1" "$1" "$2"; }

# compress NAME FILE: evaluate with fc6 and fc7 at rank 64 and write NAME-64.json
compress() {
	test -e "$runs/$1/rank-64.safetensors" ||
		"$frcnn" compress "$runs/$1" --svd-rank 64 --out "$runs/$1/rank-64.safetensors"
	score "$1-64" "$1/rank-64.safetensors" "$2"
}

propose "$proposals"
compare base "$proposals"
score base-boxes-left base "$proposals" --no-box-regression
score base-voting base "$proposals" --box-voting 0.5
test -e "$runs/sweep.json" || "$frcnn" eval "$runs/base" voc2007 --split val \
	--proposals "$proposals" --allow-mismatch --sweep proposals=300,1000,2000 \
	--plot "$runs/sweep.png" --json "$runs/sweep.json"
if test "$target" = results-quick; then exit; fi

for larger in efficientnet_lite1 efficientnet_lite2; do
	compare "$larger" "$proposals" --backbone "$larger"
done
compare fc-only "$proposals" --variant fc-only
# The first stage is the run without box regression, to the bit; the second adds the box layer.
compare stagewise "$proposals" --variant stagewise
score no-bbox-reg stagewise "$proposals" --no-box-regression
compare multiscale "$proposals" --variant multiscale
compare 300 "$proposals" --set train.proposals=300 --set detect.proposals=300
compare 1000 "$proposals" --set train.proposals=1000 --set detect.proposals=1000
# The network of the base, unchanged by one step at a negligible rate, then SVMs on its fc7.
compare svm "$proposals" --variant svm --init "$runs/base" --iterations 1 --learning-rate 1e-12
propose "$opencv" --source opencv-selective-search
compare opencv "$opencv"
# Evaluating about 45,000 boxes per image takes too long without a compressed head; so both are
# compressed.
propose "$dense" --source dense
learn dense "$dense" --variant dense
compress base "$proposals"
compress dense "$dense"
